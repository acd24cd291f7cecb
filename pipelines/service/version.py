"""One model version: its record, the evaluation that it names, and what there is to say of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pathology.contracts.description.same import SAME_AS
from pathology.contracts.description.writing import WARNINGS
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import EVALUATION
from pathology.contracts.registry import archive_uri, evaluation_uri
from pathology.contracts.runs import RUNS
from pathology.contracts.uris import Uri

from pipelines.service.decisions import Decision, decision
from pipelines.service.results import MODEL_VERSION, REPORT, location
from pipelines.service.session import Session
from pipelines.tasks import NAMES, task_spec
from steps.shapes import Answer


@dataclass(frozen=True)
class Made:
    """Where something was made, as its URI says: pipeline, execution, step, and the job where the URI names it."""

    pipeline: str
    execution: str
    step: str
    job: str | None

    @classmethod
    def of(cls, uri: str | None) -> Made | None:
        """What ``s3://bucket/runs/<pipeline>/<execution>/<step>/…`` says; None for what lies elsewhere."""
        prefix, *names = uri.removeprefix("s3://").partition("/")[2].split("/") if uri else [""]
        if prefix != RUNS or len(names) < 4 or not all(names[:4]):
            return None
        job = names[3] if names[3].startswith("pipelines-") else None
        return cls(pipeline=names[0], execution=names[1], step=names[2], job=job)


@dataclass(frozen=True)
class Version:
    """A model version: what Describe answers of it, and its evaluation.json, or why that cannot be read."""

    described: Answer
    evaluation: dict[str, Any] | None
    trouble: str | None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(self.described["ModelPackageArn"])

    @property
    def number(self) -> int:
        """Its number in the group."""
        return int(self.described["ModelPackageVersion"])

    @property
    def created(self) -> datetime:
        """When it was registered."""
        created: datetime = self.described["CreationTime"]
        return created

    @property
    def status(self) -> str:
        """PendingManualApproval, Approved or Rejected."""
        return str(self.described.get("ModelApprovalStatus", ""))

    @property
    def stage(self) -> str | None:
        """``Review: Approved``, as its life cycle says; None where it has none."""
        cycle = self.described.get("ModelLifeCycle")
        return f"{cycle['Stage']}: {cycle['StageStatus']}" if cycle else None

    @property
    def card(self) -> str | None:
        """The status of its card, such as ``Draft``; None where it has none."""
        status: str | None = (self.described.get("ModelCard") or {}).get("ModelCardStatus")
        return status

    @property
    def same_as(self) -> int | None:
        """The number of the version that it is the same as: one with the same evaluation of the same artefact."""
        number = self.metadata.get(SAME_AS, "")
        return int(number) if number.isdecimal() else None

    @property
    def metadata(self) -> dict[str, str]:
        """What registration and people wrote beside it."""
        return dict(self.described.get("CustomerMetadataProperties") or {})

    @property
    def decision(self) -> Decision | None:
        """Who approved or rejected it, when and why; None while nobody has."""
        return decision(self.described)

    @property
    def artefact(self) -> str | None:
        """Its model.tar.gz."""
        return archive_uri(self.described)

    @property
    def evaluation_uri(self) -> str | None:
        """Its evaluation.json."""
        return evaluation_uri(self.described)

    @property
    def trained(self) -> Made | None:
        """Where its artefact was made."""
        return Made.of(self.artefact)

    @property
    def evaluated(self) -> Made | None:
        """Where its evaluation was made."""
        return Made.of(self.evaluation_uri)

    @property
    def registered_by(self) -> str | None:
        """The execution that registered it; None of a version of before that was kept."""
        return self.metadata.get("execution")

    @property
    def execution(self) -> str | None:
        """The execution that registered it; where that was not kept, the one that evaluated it."""
        return self.registered_by or (self.evaluated.execution if self.evaluated else None)

    @cached_property
    def block(self) -> dict[str, Any]:
        """evaluation.json's ``pathology``; empty where it cannot be read."""
        block = (self.evaluation or {}).get("pathology")
        return block if isinstance(block, dict) else {}

    @property
    def headline(self) -> tuple[str, dict[str, Any]] | None:
        """The name of the task's first score and its estimate; None where the evaluation has none."""
        return headline_of(self.block)

    @property
    def learned_from(self) -> dict[str, Any]:
        """What it was trained on: sha256 of the tables by name, the ``table`` among them that lists the items, how many items and how
        many of them positive, in which unit. What its evaluation does not say is None."""
        inputs = self.block.get("model", {}).get("training", {}).get("inputs", {})
        baseline = self.block.get("baseline") or {}
        return {
            "inputs": inputs,
            "table": inputs.get("cohort") or inputs.get("patches"),
            "n": baseline.get("fitted_on", baseline.get("fitted_patches")),
            "positives": baseline.get("positives"),
            "unit": self.block.get("seen", {}).get("unit"),
        }

    def as_json(self) -> dict[str, Any]:
        """For ``--json``, a version of a list."""
        headline = self.headline
        return {
            "version": self.number,
            "arn": self.arn,
            "status": self.status,
            "stage": self.stage,
            "same_as": self.same_as,
            "created": self.created,
            "score": {"name": headline[0], **headline[1], "confidence": self.block.get("confidence")} if headline else None,
            "encoder": self.metadata.get("encoder"),
            "learned_from": self.learned_from,
            "execution": self.execution,
            "decision": self.decision.as_json() if self.decision else None,
            "evaluation_missing": self.trouble,
        }


def headline_of(block: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The name of the first score of an evaluation's ``block`` and its estimate; None where it has none."""
    intervals = block.get("intervals") or {}
    names = task_spec(block["task"]).headline if block.get("task") in NAMES else tuple(intervals)
    return next(((name, intervals[name]) for name in names if name in intervals), None)


def read(session: Session, described: Answer) -> Version:
    """A version with its evaluation, where that can be read; if not, why."""
    uri = evaluation_uri(described)
    if uri is None:
        return Version(described, None, f"version {described.get('ModelPackageVersion')} names no {EVALUATION}")
    return Version(described, *read_evaluation_at(session, uri))


def read_evaluation_at(session: Session, uri: str) -> tuple[dict[str, Any] | None, str | None]:
    """The evaluation.json of this URI; or None, and why it cannot be read."""
    try:
        content = json.loads(session.store.read(Uri.parse(uri)))
    except DataError as error:
        return None, str(error)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return None, f"{location(session, Uri.parse(uri))}: is damaged, no valid JSON"
    return content, None


@dataclass(frozen=True)
class Details:
    """Everything that is known of one version; ``deployed``: the endpoints that serve it with their status, or None and ``not_told``, why
    that is not known."""

    version: Version
    report: str | None
    deployed: dict[str, str] | None
    not_told: str | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        version, block = self.version, self.version.block
        model = block.get("model", {})
        return {
            **version.as_json(),
            "description": version.described.get("ModelPackageDescription"),
            "model_version": version.metadata.get(MODEL_VERSION),
            "metadata": version.metadata,
            "gate": version.metadata.get("gate"),
            "warnings": block.get("warnings", []),
            "card": {"status": version.card, "content": _content(version)},
            "source": version.described.get("SourceUri"),
            "description_warnings": version.metadata.get(WARNINGS),
            "scores": block.get("intervals", {}),
            "hyperparameters": model.get("training", {}).get("settings", {}),
            "hashes": hashes(version),
            "drift_baseline": model.get("drift_baseline"),
            "registered_by": version.registered_by,
            "trained_by": asdict(version.trained) if version.trained else None,
            "evaluated_by": asdict(version.evaluated) if version.evaluated else None,
            "artefact": version.artefact,
            "evaluation": version.evaluation_uri,
            "report": self.report,
            "deployed": self.deployed,
            "deployed_not_told": self.not_told,
        }


def _content(version: Version) -> Any:
    """What its card says; None where it has none, or where somebody wrote one that is no JSON."""
    try:
        return json.loads((version.described.get("ModelCard") or {}).get("ModelCardContent", "null"))
    except ValueError:
        return None


def hashes(version: Version) -> dict[str, str]:
    """What the version is made of, by hash: data, code, encoder, artefact; what is not known is left out."""
    model = version.block.get("model", {})
    training = model.get("training", {})
    found = {
        **{f"trained on {name}": value for name, value in training.get("inputs", {}).items()},
        **{f"tested on {name.removesuffix('_sha256')}": value for name, value in version.block.get("data", {}).items()},
        "code of training": training.get("code"),
        "code of evaluation": model.get("evaluated_with_code"),
        "code of serving": model.get("serving_code"),
        "encoder": version.metadata.get("encoder_sha256"),
        "artefact": model.get("archive_sha256"),
        "configuration": model.get("config_sha256"),
    }
    return {name: value for name, value in found.items() if value}


def details(session: Session, version: Version) -> Details:
    """Beside the version, where its report lies and where it is deployed."""
    from pipelines.service.hosting.listing import serving

    uri = version.evaluation_uri
    report = location(session, Uri.parse(uri).parent / REPORT) if uri else None
    found, trouble = serving(session, version.arn)
    return Details(version, report, None if trouble else {one.name: one.status for one in found}, trouble)
