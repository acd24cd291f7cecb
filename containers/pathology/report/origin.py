"""Where a report's numbers come from: what was read, what ran, how the model was trained, by which method intervals are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pathology.contracts.evaluation import EvaluationBlock, ModelIdentity
from pathology.report.losses import losses_figure

TITLES = {
    "cohort": "Cohort table",
    "slides": "Slides table",
    "patches": "Patches table",
    "images": "Images",
    "labels": "Labels",
}
"""Of data, by their names in evaluation.json."""


class Evaluated(Protocol):
    """A block of evaluation.json of any task: :class:`EvaluationBlock` with the model's identity."""

    @property
    def model(self) -> ModelIdentity: ...
    @property
    def data(self) -> dict[str, str]: ...
    @property
    def data_uris(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class DataRow:
    """One thing that was read: what it is, where it lay, its sha256."""

    title: str
    uri: str
    sha256: str


def origin(block: Evaluated) -> dict[str, Any]:
    """What the last section of base.html.j2 shows and does not find in ``block`` itself."""
    training = block.model.training
    names = {key: key.removesuffix("_sha256") for key in block.data}
    return {
        "data_rows": [
            DataRow(TITLES.get(name, name.capitalize()), block.data_uris.get(name, ""), block.data[key])
            for key, name in names.items()
        ],
        "losses": [losses_figure(training.curves, side) for side in ("training", "validation")] if training.curves else [],
    }


def methods(block: EvaluationBlock, titles: Mapping[str, str]) -> str:
    """In words, by which method the intervals of the measures in ``titles`` are, with the number of draws where there are any."""
    by_method: dict[str, list[str]] = {}
    for name, title in titles.items():
        by_method.setdefault(block.interval_methods[name], []).append(title)
    draws = f" ({block.resamples:,} draws)"
    return "; ".join(
        f"{method}{draws if 'bootstrap' in method else ''} for {_joined(names)}" for method, names in by_method.items()
    )


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
