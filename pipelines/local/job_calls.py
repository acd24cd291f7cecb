"""What Describe answers of jobs."""

from __future__ import annotations

from typing import Any

from pipelines.local.errors import check_name, missing
from pipelines.local.pipeline_calls import LocalCalls
from pipelines.local.state import read_json, with_times


class JobCalls(LocalCalls):
    """Calls on jobs."""

    def _job(self, name: str, kind: str) -> dict[str, Any]:
        operation = f"Describe{kind}"
        check_name(operation, name, 63)
        record = read_json(self.state.job(name))
        if record is None or f"{kind}Name" not in record:
            raise missing(operation, f"Requested resource not found: {name}.")
        return dict(with_times(record))

    def describe_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:
        """DescribeProcessingJob."""
        return self._job(ProcessingJobName, "ProcessingJob")

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:
        """DescribeTrainingJob."""
        return self._job(TrainingJobName, "TrainingJob")
