"""What patches of tumour are: their classes and their side."""

from __future__ import annotations

LABELS = ("normal", "tumour")
"""Class 0; class 1, the positive one."""
SIDE = 224
"""px."""
