"""Slides, labels and splits: who is in a cohort."""
