"""Nuclei as instances: found, outlined, typed and counted."""
