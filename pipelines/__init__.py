"""What a person runs: ``python -m pipelines.<verb>``."""
