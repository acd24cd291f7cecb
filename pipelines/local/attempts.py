"""A job step's attempts: the job, and the job again where a retry policy covers how it failed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.local.containers import CONTAINERS
from pipelines.local.jobs import JobError, LocalJob, StoppedError, job_name
from pipelines.local.state import Execution, State
from steps.shapes import Answer, Request, RetryPolicy, StepDefinition

MAX_PAUSE = 1.0
"""Retry intervals are minutes on AWS, where capacity has to come back; here a second will do."""
_MIN_ATTEMPTS = 1
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Attempts:
    """One step's attempts within one try of an execution."""

    state: State
    execution: Execution
    step: StepDefinition
    stopping: Callable[[], bool]
    cores: int
    environment: Mapping[str, str]

    def run(self, request: Request, started: Callable[[str, int], None]) -> Answer:
        """Run until an attempt succeeds; its Describe answer. ``started`` hears of every attempt's ARN and number, from 1.

        Raises:
            JobError: of the last attempt, when no policy asks for another.
            StoppedError: when the execution is being stopped.
        """
        used: dict[int, int] = {}
        begun, attempt = time.monotonic(), 1
        while True:
            name = job_name(self.execution.identity, self.step["Name"], secrets.token_hex(5))
            started(CONTAINERS[self.step["Type"]](name, request, self.state.store).arn, attempt)
            try:
                return self._job(name).run(self.step["Type"], request, self.state)
            except JobError as error:
                policy = self._policy(error.kind, used, time.monotonic() - begun)
                if policy is None:
                    raise
                self._pause(self.step["RetryPolicies"][policy], used.get(policy, 0))
                used[policy] = used.get(policy, 0) + 1
                attempt += 1

    def _job(self, name: str) -> LocalJob:
        return LocalJob(name, self.execution.folder / "jobs" / name, self.stopping, self.cores, self.environment)

    def _policy(self, kind: str, used: dict[int, int], seconds: float) -> int | None:
        """The first policy that covers this kind of failure and has not run out, of retries or of time."""
        for index, policy in enumerate(self.step.get("RetryPolicies", [])):
            if kind not in policy["ExceptionType"]:
                continue
            if "ExpireAfterMin" in policy:
                if seconds < policy["ExpireAfterMin"] * 60:
                    return index
            elif used.get(index, 0) < policy.get("MaxAttempts", _MIN_ATTEMPTS):
                return index
        return None

    def _pause(self, policy: RetryPolicy, used: int) -> None:
        """IntervalSeconds × BackoffRate^used, as the service pauses, but never long."""
        wanted = float(policy.get("IntervalSeconds", 1)) * float(policy.get("BackoffRate", 2.0)) ** used
        until = time.monotonic() + min(wanted, MAX_PAUSE)
        while time.monotonic() < until:
            if self.stopping():
                raise StoppedError(f"step {self.step['Name']} was stopped while it waited to be retried")
            time.sleep(_POLL_SECONDS)
