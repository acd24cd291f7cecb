"""comparison.json, which Check and a version read, and an entry of the ledger of looks at a test set."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.comparison.gate import GateDecision
from pathology.contracts.comparison.result import PairedComparison
from pathology.contracts.evaluation import Count
from pathology.contracts.hashes import Sha256
from pathology.contracts.registry import RegistryText
from pathology.contracts.strict_json import StrictJson

COMPARISON = "comparison.json"
LEDGER = "ledger"
"""The prefix in the bucket that looks at test sets are written below: ``ledger/<task>/<test_sha256>/<evaluation_sha256>.json``."""


AnsweredBy = Literal["stored predictions", "its artefact, run again"]


class Look(StrictJson):
    """An evaluation on a test set of so many ``items``, whether or not its model passed the gate then."""

    task: str
    test_sha256: Sha256
    items: Count
    evaluation_sha256: Sha256
    passed: bool
    message: str


class ComparisonFile(GateDecision):
    """The whole file. ``score`` is 1 where the gate passed, else 0: conditions compare numbers. ``gate`` is what a version says of it.

    ``looks`` are the evaluations on this very test set, this one among them, ``looks_text`` the same for a version's metadata.
    ``champion_arn`` and ``comparison`` are null where nothing is approved; of the items that differ the first are listed alone.
    ``answered_by`` is how the champion answered ``answered`` of the candidate's test items; null where the two were not compared.
    """

    task: str
    score: Literal[0, 1]
    gate: RegistryText
    looks: Count
    looks_text: RegistryText
    test_sha256: Sha256
    evaluation_sha256: Sha256
    ledger: str
    champion_arn: str | None
    comparison: PairedComparison | None
    answered_by: AnsweredBy | None = None
    answered: Count | None = None
