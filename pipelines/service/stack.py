"""What infra/platform-stack.yml made, read from CloudFormation and ECR, as an environment. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_missing

from pipelines.service.paging import paginate
from steps.environment import Environment

OUTPUTS = {
    "pipeline_role": "PipelineRoleArn",
    "job_role": "JobRoleArn",
    "bucket": "BucketName",
    "file_system": "EFSFileSystemId",
    "subnets": "PrivateSubnetIds",
    "security_groups": "JobSecurityGroupId",
    "cucim_tiler": "CucimTilerRepositoryUri",
    "training": "TrainingRepositoryUri",
    "kms_key": "KmsKeyArn",
}
"""What an environment needs → the stack's output that has it."""
USABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"})
"""States whose resources and outputs fit each other; after a rolled-back update they are those of before."""
_COMMIT = re.compile(r"[0-9a-f]{12}\Z")
"""build_and_push.sh tags an image with the first 12 characters of the commit."""
_ID = re.compile(r"arn:aws[a-z-]*:cloudformation:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):stack/")
_REPOSITORY = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[a-z0-9._/-]+)\Z"
)


@dataclass(frozen=True)
class StackFacts:
    """A stack as it stands: where it is, what its outputs are called, and its own tags."""

    name: str
    status: str
    region: str
    account: str
    outputs: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PushedImage:
    """The image of a repository that was pushed last, among those tagged with a commit."""

    repository: str
    digest: str
    commit: str
    pushed: datetime

    @property
    def uri(self) -> str:
        """As environments take it, by digest."""
        return f"{self.repository}@{self.digest}"


def read_stack(cloudformation: Any, name: str) -> StackFacts:
    """The stack's facts.

    Raises:
        RequestError: when there is no such stack, or it is in a state in which its outputs say nothing.
    """
    try:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if not is_missing(error):
            raise
        region = cloudformation.meta.region_name
        raise RequestError(
            f"there is no stack {name} in {region}: deploy infra/platform-stack.yml (docs/deploy.md), or say --stack and --region"
        ) from None
    status = stack["StackStatus"]
    if status not in USABLE:
        raise RequestError(f"stack {name} is {status}: {_advice(status)}")
    match = _ID.match(stack["StackId"])
    if match is None:
        raise RequestError(f"stack {name} has the id {stack['StackId']}, which names no account: give another stack")
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    tags = {item["Key"]: item["Value"] for item in stack.get("Tags", []) if not item["Key"].startswith("aws:")}
    return StackFacts(stack["StackName"], status, match["region"], match["account"], outputs, tags)


def _advice(status: str) -> str:
    if status.startswith("DELETE"):
        return "it is gone, or going; deploy it again"
    if status.endswith("_IN_PROGRESS"):
        return "wait until it is done, then run this again"
    return "look at its events (aws cloudformation describe-stack-events), fix what failed, deploy it again"


def latest_image(ecr: Callable[[str], Any], repository: str) -> PushedImage | None:
    """The image pushed last under a commit's tag, None where there is none; ``ecr`` makes the client of a region.

    Raises:
        RequestError: for a repository that is not in ECR.
    """
    match = _REPOSITORY.match(repository)
    if match is None:
        raise RequestError(
            f"{repository} is not a valid ECR repository: the stack's outputs are not those of infra/platform-stack.yml"
        )
    asked = {"registryId": match["account"], "repositoryName": match["name"], "filter": {"tagStatus": "TAGGED"}}
    try:
        pushed = list(_tagged(repository, paginate(ecr(match["region"]).describe_images, "imageDetails", "nextToken", **asked)))
    except ClientError as error:
        if error.response["Error"].get("Code") == "RepositoryNotFoundException":
            return None
        raise
    return max(pushed, key=lambda image: image.pushed, default=None)


def _tagged(repository: str, details: Iterator[dict[str, Any]]) -> Iterator[PushedImage]:
    for detail in details:
        for tag in detail.get("imageTags", []):
            if _COMMIT.match(tag):
                yield PushedImage(repository, detail["imageDigest"], tag, detail["imagePushedAt"])


def environment_text(facts: StackFacts, name: str, ecr: Callable[[str], Any]) -> str:
    """environments/<name>.yaml for a stack, parsed once before it is given back.

    Raises:
        RequestError: naming every output that the stack lacks, every image that was never pushed, or the value that no
            environment takes.
    """
    lacking = sorted(output for output in OUTPUTS.values() if not facts.outputs.get(output))
    if lacking:
        raise RequestError(
            f"stack {facts.name} has no output {', '.join(lacking)}: give the stack of infra/platform-stack.yml, deployed as it is now"
        )
    value = {key: facts.outputs[output] for key, output in OUTPUTS.items()}
    images = {key: latest_image(ecr, value[key]) for key in ("cucim_tiler", "training")}
    never = [value[key].rpartition("/pathology-")[2] for key, image in images.items() if image is None]
    if never:
        raise RequestError(
            "no image tagged with a commit in ECR: run "
            + " and ".join(f"containers/build_and_push.sh {image}" for image in never)
            + ", then this again"
        )
    pushed = {key: image for key, image in images.items() if image is not None}
    content = {
        "name": name,
        "region": facts.region,
        "account": facts.account,
        **{key: value[key] for key in ("pipeline_role", "job_role", "bucket", "file_system")},
        "network": {key: value[key].split(",") for key in ("subnets", "security_groups")},
        "images": {key: image.uri for key, image in pushed.items()},
        "kms_key": value["kms_key"],
        **({"tags": dict(sorted(facts.tags.items()))} if facts.tags else {}),
    }
    Environment.parse(content, f"the outputs of stack {facts.name}")
    comments = [
        f"# Made by python -m pipelines.environment --stack {facts.name} --region {facts.region} from the stack's outputs",
        f"# ({facts.status}). Regenerate it after a deployment of the stack or a push of images, rather than editing it.",
        *(
            f"# {image.repository.rpartition('/')[2]}: commit {image.commit}, pushed {image.pushed:%Y-%m-%d %H:%M %Z}"
            for image in pushed.values()
        ),
    ]
    return "\n".join([*comments, yaml.safe_dump(content, sort_keys=False, width=1000)])
