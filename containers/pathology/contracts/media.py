"""Content types that requests to an endpoint and its answers have, and that a model version says it takes."""

from __future__ import annotations

JSON = "application/json"
IMAGES = ("image/png", "image/jpeg")
