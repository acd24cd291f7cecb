"""Cohorts out of what people have: manifests, folders of slides, label tables."""
