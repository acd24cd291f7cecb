"""Data and runs to try the pipelines on, made on this machine."""
