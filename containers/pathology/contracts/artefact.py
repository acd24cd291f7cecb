"""Names of files in a model's artefact that not only whoever packs it knows."""

from __future__ import annotations

LEARNED_FROM = "learned-from.json"
