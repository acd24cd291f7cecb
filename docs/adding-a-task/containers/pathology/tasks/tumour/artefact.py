"""The tumour model artefact: a patch classifier's."""

from __future__ import annotations

from typing import Literal

from pathology.patches.artefact import PatchConfig


class TumourConfig(PatchConfig):
    """config.json."""

    task: Literal["tumour"] = "tumour"
