"""Speed, as ratios against a named alternative in the same run: ``python -m benchmarks.<name>``, figures as JSON on the last line."""
