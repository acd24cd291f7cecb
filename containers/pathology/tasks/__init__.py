"""One room a task: dataset, model, training, artefact, serving, report. No task imports another; nothing shared imports a task."""
