"""DescribeMsi, DescribeMhist, DescribeLizard: evaluation.json → the registered version's card, life cycle and source.

The version is there whatever happens here: what the registry refuses is a warning, in description.json and in the version's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

from pathology.contracts.description.card import card
from pathology.contracts.description.describe import FILE, DescribeVersion, Description
from pathology.contracts.description.evaluated import Evaluated, evaluation_sha256
from pathology.contracts.description.same import EVALUATION_SHA256, SAME_AS, same_as
from pathology.contracts.description.writing import METADATA, Refusal, absent, kept, write
from pathology.contracts.errors import DataError
from pathology.contracts.storage import atomic_write
from pathology.job import Job, run
from pathology.registry import open_registry

APPROVE = "python -m pipelines.approve writes what is missing"
T = TypeVar("T")


def main(job: Job) -> None:
    """Write what the version lacks, say what it is the same as, and leave description.json in the output ``description``."""
    arn, evaluation = job.hyperparameters(DescribeVersion).version, _evaluation(job)
    description = describe(open_registry(), arn, evaluation)
    atomic_write(job.output("description") / FILE, description.to_json())
    for warning in description.warnings:
        print(f"warning: {warning}")
    if description.warnings:
        print(f"the version is registered all the same; {APPROVE}")
    if description.same_as is not None:
        print(f"the same as version {description.same_as}: the same evaluation of the same artefact")
    print(f"{arn}: {', '.join(description.written) or 'nothing'} written; compared with {description.compared_with} versions")


def _evaluation(job: Job) -> dict[str, Any]:
    path = job.file("evaluation", "evaluation.json")
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is no JSON object: evaluate the model again")
    return content


def describe(client: Any, arn: str, evaluation: dict[str, Any]) -> Description:
    """Describe the version ``arn`` by ``client``, boto3's of SageMaker.

    Raises:
        DataError: when evaluation.json is not as it should be.
    """
    evaluated, digest = Evaluated.of(evaluation), evaluation_sha256(evaluation)
    refusals: list[Refusal | str] = []

    def ask(what: str, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except client.exceptions.ClientError as error:
            refusals.append(Refusal.of(what, error))
        except BotoCoreError as error:
            refusals.append(f"{what}: SageMaker could not be asked ({error})")
        return otherwise

    none: tuple[int | None, int] = (None, 0)
    nothing: tuple[list[str], list[Refusal]] = ([], [])
    described: dict[str, Any] = ask("what it has", lambda: dict(client.describe_model_package(ModelPackageName=arn)), {})
    same, compared = ask(SAME_AS, lambda: same_as(client, arn, digest), none)
    members = absent(described, evaluated)
    written, refused = ask(", ".join(members), lambda: write(client, arn, members), nothing)
    refusals += refused
    metadata = {
        EVALUATION_SHA256: digest,
        **({SAME_AS: str(same)} if same is not None else {}),
        **kept([one for one in refusals if isinstance(one, Refusal)]),
    }
    added, refused = ask(METADATA, lambda: write(client, arn, {METADATA: metadata}), nothing)
    refusals += refused
    return Description(
        version=arn,
        evaluation_sha256=digest,
        same_as=same,
        compared_with=compared,
        written=[*written, *added],
        there_already=[name for name in ("ModelCard", "ModelLifeCycle", "SourceUri") if described.get(name)],
        warnings=[str(one) for one in refusals],
        card=card(evaluated, str(described.get("ModelPackageDescription", ""))),
    )


if __name__ == "__main__":
    run(main)
