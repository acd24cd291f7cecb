"""An endpoint taken away, with its configuration, model, alarm and scaling; never the version."""

from __future__ import annotations

import time
from collections.abc import Callable

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_missing

from pipelines.service.hosting.deploying import remove_config, unguard, unscale
from pipelines.service.hosting.standing import Standing, followed, require_ours, standing
from pipelines.service.polling import poll_interval
from pipelines.service.session import Session

_SEEN_SECONDS = 60
"""For what was deleted to be seen as such: an answer may be of a moment before."""
_BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})


def removable(session: Session, task: str, name: str) -> Standing:
    """The endpoint of this name and task.

    Raises:
        RequestError: when there is none, it is another's, or it is being changed.
    """
    found = standing(session, name)
    if found is None:
        raise RequestError(
            f"{session.environment.name} has no endpoint {name}: python -m pipelines.endpoints lists those that there are"
        )
    require_ours(found, task)
    if found.status in _BUSY:
        raise RequestError(
            f"endpoint {name} is {found.status}: wait until python -m pipelines.endpoints says InService or Failed"
        )
    return found


def _end(session: Session, name: str) -> Standing | None:
    """How an endpoint is once nothing changes it any more; None where it is gone."""
    end = None
    for end in followed(session, name):  # noqa: B007
        pass
    return end


def undeploy(session: Session, found: Standing, say: Callable[[str], None]) -> None:
    """Take it away, and wait until it is gone.

    Raises:
        RequestError: when it is there still.
    """
    unscale(session, found.name)
    try:
        session.sagemaker.delete_endpoint(EndpointName=found.name)
    except ClientError as error:
        if not is_missing(error):
            raise
    before, until = "", time.monotonic() + _SEEN_SECONDS
    while (now := _end(session, found.name)) is not None:
        if now.status != before:
            say(f"{now.name}: {now.status}")
            before = now.status
        if time.monotonic() > until:
            raise RequestError(f"endpoint {found.name} is {now.status} and not gone: look at it in the console")
        time.sleep(poll_interval(session))
    remove_config(session, found.config)
    unguard(session, found.name)
