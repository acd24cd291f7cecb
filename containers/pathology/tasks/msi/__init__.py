"""Microsatellite status per patient: attention MIL on features of whole slides."""
