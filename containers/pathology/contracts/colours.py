"""The six numbers that say what colours an item has."""

from __future__ import annotations

COLOURS = ("mean_red", "mean_green", "mean_blue", "sd_red", "sd_green", "sd_blue")
"""Mean and standard deviation (n) over its pixels, of channels in 0 to 255; in this order wherever they stand as a row."""
