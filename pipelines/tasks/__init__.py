"""What a task's YAML may say, one module a task."""
