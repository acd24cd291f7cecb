"""Definitions with one fault each, drawn from what the service is documented to refuse or to fail on.

What is a fault is the API reference's and the developer guide's word, not the checks'. ``drawn`` goes over every step and every kind; a
kind that a step has no place for is left out there.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.pipelines.checks import faults_of_forms, faults_of_references, faults_of_values
from tests.pipelines.checks.planting import FAULTS, KINDS, steps_of

assert faults_of_forms and faults_of_references and faults_of_values  # each enters its faults


@dataclass(frozen=True)
class Mutant:
    """A definition with a fault, and what was done to it."""

    step: str
    kind: str
    what: str
    definition: dict[str, Any]


def drawn(definition: dict[str, Any], seed: int) -> Iterator[Mutant]:
    """For every step and kind one fault, chosen by ``seed``, in an order chosen by it too."""
    random_ = random.Random(seed)
    originals = steps_of(definition)
    pairs = [(index, kind) for index in range(len(originals)) for kind in KINDS]
    random_.shuffle(pairs)
    for index, kind in pairs:
        faults = FAULTS[kind][:]
        random_.shuffle(faults)
        changed = copy.deepcopy(definition)
        step = steps_of(changed)[index]
        made = next((fault for fault in faults if fault(changed, step, random_)), None)
        if made is not None:
            yield Mutant(originals[index]["Name"], kind, made.__name__, changed)
