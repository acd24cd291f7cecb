"""What Describe answers of jobs."""

from __future__ import annotations

from pipelines.local.errors import check_name, missing
from pipelines.local.job_records import described_job
from pipelines.local.pipeline_calls import LocalCalls
from pipelines.local.state import with_times
from steps.shapes import Answer


class JobCalls(LocalCalls):
    """Calls on jobs."""

    def _job(self, name: str, kind: str) -> Answer:
        operation = f"Describe{kind}"
        check_name(operation, name, 63)
        record = described_job(self.state, name)
        if record is None or f"{kind}Name" not in record:
            raise missing(operation, f"Requested resource not found: {name}.")
        return dict(with_times(record))

    def describe_processing_job(self, *, ProcessingJobName: str) -> Answer:
        """DescribeProcessingJob."""
        return self._job(ProcessingJobName, "ProcessingJob")

    def describe_training_job(self, *, TrainingJobName: str) -> Answer:
        """DescribeTrainingJob."""
        return self._job(TrainingJobName, "TrainingJob")
