"""``python -m pipelines.environment --stack pathology > environments/dev.yaml``: what was deployed, as an environment."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipelines.cli import Debug, run


def environment(
    stack: Annotated[str, typer.Option("--stack", help="The stack of infra/platform-stack.yml, by name or ARN.")],
    region: Annotated[
        str | None,
        typer.Option("--region", help="Where it is. Default: AWS_REGION, else that of your profile.", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The environment's name. Default: the stack's, in small letters.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> int:
    """Print a deployed stack as an environment's YAML. Without images in ECR it prints none, since none could run."""
    import boto3

    from pipelines.service.stack import environment_text, read_stack

    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)  # boto3 does not read it
    facts = read_stack(session.client("cloudformation"), stack)
    print(f"stack {facts.name}, {facts.status} (account {facts.account}, {facts.region})", file=sys.stderr)
    if facts.status == "UPDATE_ROLLBACK_COMPLETE":
        print("its last update was rolled back: the outputs are those of before", file=sys.stderr)
    text = environment_text(
        facts, name or facts.name.lower()[:31], lambda ecr_region: session.client("ecr", region_name=ecr_region)
    )
    print(text, end="")
    return 0


if __name__ == "__main__":
    run(environment)
