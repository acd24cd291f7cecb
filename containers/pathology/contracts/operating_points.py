"""Where a binary classifier draws its line: the thresholds that training chooses, and what each promises. Serving reads them: no SciPy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.settings import Fraction, Settings, setting
from pathology.contracts.strict_json import StrictJson

PointName = Literal["youden", "nominal", "promised"]
"""``youden`` maximises sensitivity + specificity − 1; ``nominal`` finds the set fraction of the training side's positives;
``promised`` finds at least that fraction of all positives to come, with the set confidence."""


SENSITIVITY = 0.95
"""What screening for MSI before a confirmatory test is set to (Deepath-MSI, npj Precision Oncology 2025)."""


class OperatingSettings(Settings):
    """What training is told of the line that it draws."""

    sensitivity: float = setting(
        SENSITIVITY, "Sensitivity that the operating points for screening are set to.", parameter=True, gt=0, lt=1
    )
    confidence: float = setting(
        0.95,
        "Confidence with which the promised operating point has that sensitivity.",
        parameter="SensitivityConfidence",
        gt=0,
        lt=1,
    )
    decide_by: PointName = setting("youden", "Operating point that gives the model's answer its label.", parameter=True)


class Promise(StrictJson):
    """With ``confidence`` the threshold finds at least ``sensitivity`` of all positives that are as those it was chosen on."""

    sensitivity: Fraction
    confidence: Fraction


class OperatingPoint(StrictJson):
    """A ``threshold`` on the probability of class 1, chosen on ``positives`` of the training side; ``promises`` are by order statistics.

    ``sensitivity`` is what was asked for, null for Youden's. Where the positives are too few for it, the promised point has the lowest
    of their scores, and two promises: a lower sensitivity with the confidence asked for, or a lower confidence in the sensitivity.
    """

    name: PointName
    threshold: Fraction
    positives: Annotated[int, Field(ge=1)]
    sensitivity: Fraction | None
    promises: list[Promise]
