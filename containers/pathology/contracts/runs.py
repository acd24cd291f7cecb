"""Where an execution's outputs lie: ``s3://bucket/runs/<pipeline>/<execution id>/<step>/<output>``."""

from __future__ import annotations

from pathology.contracts.strict_json import StrictJson
from pathology.contracts.uris import Uri

RUNS = "runs"
"""The prefix in the bucket that executions write their outputs below."""


class RunOutput(StrictJson):
    """An output of a step, and the execution that computed it; one that finds it in the cache leaves it as it is."""

    pipeline: str
    execution: str
    step: str
    uri: str

    @classmethod
    def of(cls, uri: Uri) -> RunOutput | None:
        """What an output's URI says; None for one that lies elsewhere, as where a job was started by hand."""
        prefix, *names = uri.path.split("/")
        if uri.scheme != "s3" or prefix != RUNS or len(names) != 4 or not all(names):
            return None
        pipeline, execution, step, _ = names
        return cls(pipeline=pipeline, execution=execution, step=step, uri=str(uri))
