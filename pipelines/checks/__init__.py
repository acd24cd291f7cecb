"""Checks of a definition that need no AWS: the service finds these faults only after minutes, or never."""
