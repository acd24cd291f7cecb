"""The mhist model artefact: a patch classifier's."""

from __future__ import annotations

from typing import Literal

from pathology.patches.artefact import PatchConfig


class MhistConfig(PatchConfig):
    """config.json."""

    task: Literal["mhist"] = "mhist"
