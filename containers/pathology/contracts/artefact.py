"""Names of files in a model's artefact that not only whoever packs it knows, and where its code looks for its encoder."""

from __future__ import annotations

CONFIG = "config.json"
LEARNED_FROM = "learned-from.json"
DRIFT_BASELINE = "drift-baseline.json"
ENCODER_VARIABLE = "PATHOLOGY_ENCODER"
"""Names the encoder's folder to the code that serves a model."""
