"""Encoders, heads, artefacts and the functions that serve them."""
