"""The logs of a step's job: where they are to be read, and what they say, host by host, through CloudWatch Logs' calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError
from pathology.contracts.refusals import is_missing

from pipelines.service.paging import paginate
from pipelines.service.session import Session

_GROUPS = {"processing-job": "/aws/sagemaker/ProcessingJobs", "training-job": "/aws/sagemaker/TrainingJobs"}
_DOMAINS = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def _parts(job: str) -> tuple[str, str, str, str]:
    """Partition, region, log group and name of a job's ARN."""
    _, partition, _, region, _, resource = job.split(":", 5)
    kind, _, name = resource.partition("/")
    return partition, region, _GROUPS[kind], name


def _twice(text: str) -> str:
    """As the console writes it behind ``#``: percent-encoded twice, with $ for %."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def log_location(session: Session, job: str) -> str:
    """Where a person reads the log of the job with this ARN: a file here, a page of the console on AWS."""
    partition, region, group, name = _parts(job)
    if session.environment.local:
        return str(session.logs.location(name))
    domain = _DOMAINS.get(partition, "console.aws.amazon.com")
    where = f"https://{region}.{domain}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{_twice(group)}"
    return f"{where}$3FlogStreamNameFilter$3D{_twice(name + '/')}"


@dataclass
class JobLog:
    """One job's log, read on from where the last call ended."""

    session: Session
    job: str
    _tokens: dict[str, str] = field(default_factory=dict)
    _unread: list[dict[str, Any]] = field(default_factory=list)

    def new_events(self) -> list[dict[str, Any]]:
        """``{"host", "timestamp", "message"}`` of every line since the last call, a host at a time; ``timestamp`` in
        milliseconds, absent where nobody kept it. A call that fails in the middle loses nothing: the next one answers it all."""
        _, _, group, name = _parts(self.job)
        for stream in self._streams(group, name):
            self._read(group, stream)
        events, self._unread = self._unread, []
        return events

    def _streams(self, group: str, name: str) -> list[str]:
        """The job's streams, one a host; none before it has said anything."""
        streams = paginate(
            self.session.logs.describe_log_streams,
            "logStreams",
            "nextToken",
            logGroupName=group,
            logStreamNamePrefix=f"{name}/",
        )
        try:
            return sorted(stream["logStreamName"] for stream in streams)
        except ClientError as error:
            if is_missing(error):
                return []
            raise

    def _read(self, group: str, stream: str) -> None:
        host = "-".join(stream.rpartition("/")[2].split("-")[:2])
        while True:
            token = self._tokens.get(stream)
            more = {"nextToken": token} if token else {}
            answer = self.session.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            for event in answer["events"]:
                self._unread.append({"host": host, **{key: event[key] for key in ("timestamp", "message") if key in event}})
            self._tokens[stream] = answer["nextForwardToken"]
            if self._tokens[stream] == token:  # the service answers the token that it was given once there is no more
                return
