"""Documentation, and what refreshes the parts of it that come from the code."""
