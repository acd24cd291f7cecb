"""A SageMaker endpoint for a task's four functions: HTTP, batches, logs. The functions are the ones that evaluation calls."""
