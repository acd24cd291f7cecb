"""Whole slides: reading, tissue, tiles, features."""
