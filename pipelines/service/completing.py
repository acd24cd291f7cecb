"""What a version lacks of card and source, when a person approves it: written from its evaluation by the function that Describe uses."""

from __future__ import annotations

from collections.abc import Iterator

from pathology.contracts.description.evaluated import Evaluated
from pathology.contracts.description.writing import CARD, SOURCE
from pathology.contracts.description.writing import complete as write_absent
from pathology.contracts.errors import DataError

from pipelines.service.session import Session
from pipelines.service.version import Version


def complete(session: Session, version: Version) -> Iterator[str]:
    """Write what is absent; a line for what was written, and one for each thing that was not. Before the decision, which is
    then the last that is written."""
    described = version.described
    if described.get(CARD) and described.get(SOURCE):
        return
    try:
        evaluated = Evaluated.of(version.evaluation or {})
    except DataError as error:
        yield f"warning: no card could be written: {version.trouble or error}"
        return
    written, refusals = write_absent(session.sagemaker, described, evaluated)
    if written:
        yield f"written besides: {', '.join(written)}"
    for refusal in refusals:
        yield f"warning: {refusal}"
