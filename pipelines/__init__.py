"""What a person runs: ``python -m pipelines.<verb>``."""

__version__ = "0.1.0"
"""Read by setup.cfg. Not in the package of the jobs, where another version would be other code and recompute every step."""
