"""An object with CloudWatch Logs' method names, whose streams are the log files of local jobs: ``<job>/algo-1``, one a host."""

from __future__ import annotations

from pathlib import Path

from pipelines.local.errors import refused
from pipelines.local.job_records import described_job
from pipelines.local.state import State
from steps.shapes import Answer

_MAX_BYTES = 2**20
"""Of a page, as in the service."""


class LocalLogs:
    """Streams of local jobs; arguments and answers as boto3's ``logs`` client. Events have no timestamp: a file keeps none."""

    def __init__(self, state: State) -> None:
        self.state = state

    def location(self, job: str) -> Path:
        """Where a person reads a job's log: its file, or the folder of several hosts' files."""
        files = self.state.job_logs(job)
        return files[0] if len(files) == 1 else self.state.job_folder(job)

    def describe_log_streams(self, *, logGroupName: str, logStreamNamePrefix: str, nextToken: str | None = None) -> Answer:
        """DescribeLogStreams of one job: the prefix is ``<job>/``."""
        job = logStreamNamePrefix.rstrip("/")
        return {"logStreams": [{"logStreamName": f"{job}/{path.stem}"} for path in self.state.job_logs(job)]}

    def get_log_events(self, *, logGroupName: str, logStreamName: str, startFromHead: bool, nextToken: str = "f/0") -> Answer:
        """GetLogEvents from the head, in pages; a line that is still being written waits until it, or its job, has ended."""
        job, _, host = logStreamName.rpartition("/")
        path = self.state.job_folder(job) / f"{host}.log"
        if not path.is_file():
            raise refused("GetLogEvents", "The specified log stream does not exist.", "ResourceNotFoundException")
        ended = not self._runs(job)  # asked before reading: what a job says last is there when it is seen to have ended
        start = int(nextToken.removeprefix("f/"))
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(_MAX_BYTES)
        whole = len(content) if ended or len(content) == _MAX_BYTES else content.rfind(b"\n") + 1
        lines = content[:whole].decode(errors="replace").splitlines()
        return {"events": [{"message": line} for line in lines], "nextForwardToken": f"f/{start + whole}"}

    def _runs(self, job: str) -> bool:
        record = described_job(self.state, job) or {}
        return "InProgress" in (record.get("ProcessingJobStatus"), record.get("TrainingJobStatus"))
