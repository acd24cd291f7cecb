"""One module per kind of step; ``pathology-run COMMAND`` starts ``main(job)`` of the module of that name."""
