"""The images in ECR, by digest."""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from pipelines.service.errors import explain
from pipelines.service.health.lines import Lines, problem, unknown, verdict
from pipelines.service.health.subject import Subject, code_of

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})\Z"
)
_LISTS = ("image.index", "manifest.list")
"""Media types of several images under one digest; SageMaker takes one."""


def images(subject: Subject) -> Lines:
    """Both images are where the definition says, in the region of the jobs."""
    for check, image in (
        ("image cucim_tiler", subject.environment.images.cucim_tiler),
        ("image training", subject.environment.images.training),
    ):
        try:
            yield from _image(subject, check, image)
        except ClientError as error:
            yield unknown(check, explain(error))


def _image(subject: Subject, check: str, image: str) -> Lines:
    match = _ECR.match(image)
    if match is None:
        yield unknown(check, f"{image} is not in ECR: SageMaker pulls others only from a registry inside the VPC")
        return
    region, name = subject.environment.region, match["name"]
    if match["region"] != region:
        yield problem(check, f"{image} is in {match['region']} and jobs run in {region}: push it there")
        return
    push = (
        f"run containers/build_and_push.sh {name.removeprefix('pathology-')} and put what it prints into the environment's file"
    )
    try:
        (detail,) = subject.clients["ecr"].describe_images(
            registryId=match["account"], repositoryName=name, imageIds=[{"imageDigest": match["digest"]}]
        )["imageDetails"]
    except ClientError as error:
        if code_of(error) not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        missing = "repository" if code_of(error).startswith("Repo") else f"image {match['digest'][:19]}… in"
        yield problem(check, f"ECR has no {missing} {name}: {push}")
        return
    several = any(kind in detail.get("imageManifestMediaType", "") for kind in _LISTS)
    wrong = [f"{name} is a list of images at that digest, and SageMaker takes one: {push}"] if several else []
    yield from verdict(check, wrong, f"{name}, tags {', '.join(detail.get('imageTags', [])) or 'none'}")
