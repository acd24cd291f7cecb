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
_LIST_EVERY = 20
"""Polls, on AWS five minutes."""
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
        for stream in self.streams(group, name):
            self._read(group, stream)
        events, self._unread = self._unread, []
        return events

    def streams(self, group: str, name: str) -> list[str]:
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
        while True:
            token = self._tokens.get(stream)
            self._unread += self.page(group, stream)
            if self._tokens[stream] == token:  # the service answers the token that it was given once there is no more
                return

    def page(self, group: str, stream: str) -> list[dict[str, Any]]:
        host = "-".join(stream.rpartition("/")[2].split("-")[:2])
        token = self._tokens.get(stream)
        more = {"nextToken": token} if token else {}
        answer = self.session.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
        self._tokens[stream] = answer["nextForwardToken"]
        return [
            {"host": host, **{key: event[key] for key in ("timestamp", "message") if key in event}} for event in answer["events"]
        ]


@dataclass
class SampledLog:
    """One job's log, read on at a call each time: its streams take turns, a page each."""

    log: JobLog
    _streams: list[str] = field(default_factory=list)
    _calls: int = 0
    _silent: int = 0

    def next_events(self) -> list[dict[str, Any]]:
        """Some of the lines that :meth:`JobLog.new_events` would give, by one call. Streams are listed when none of those that are known
        says anything, and now and then: hosts that start again get another."""
        _, _, group, name = _parts(self.log.job)
        turn, self._calls = self._calls, self._calls + 1
        if self._silent >= len(self._streams) or turn % _LIST_EVERY == 0:
            self._streams, self._silent = self.log.streams(group, name), 0
            return []
        events = self.log.page(group, self._streams[turn % len(self._streams)])
        self._silent = 0 if events else self._silent + 1
        return events
