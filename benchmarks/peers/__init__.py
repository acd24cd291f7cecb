"""Reading slides beside the tools that others use: ``python -m benchmarks.peers``."""
