"""A job's record, read by whoever needs what Describe answers of it."""

from __future__ import annotations

from pipelines.local.damage import job_members, whole
from pipelines.local.state import State, read_json
from steps.shapes import Answer


def described_job(state: State, name: str) -> Answer | None:
    """What Describe answers of a job, or None when there is none.

    Raises:
        DamagedError: when its record cannot be read.
    """
    path = state.job(name)
    record = read_json(path)
    if record is None:
        return None
    kind = "TrainingJob" if "TrainingJobName" in whole(path, record, {}) else "ProcessingJob"
    return dict(whole(path, record, job_members(kind)))
