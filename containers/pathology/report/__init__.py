"""Reports that a pathologist reads."""
