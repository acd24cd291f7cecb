"""Where an endpoint of this machine is asked without boto3."""

from __future__ import annotations

from pipelines.service.session import Session, state_folder


def address(session: Session, name: str) -> str | None:
    """The URL of an endpoint's invocations on this machine; None on AWS, whose requests are signed."""
    if not session.environment.local:
        return None
    from pipelines.local.hosting import url_of

    url = url_of(state_folder(), name)
    return f"{url}/invocations" if url else None
