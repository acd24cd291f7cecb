"""Where a person reads a job's log, in each of AWS's partitions; and that a call that fails in the middle loses nothing."""

import pytest

from pipelines.service.job_logs import JobLog, log_location
from pipelines.service.session import Session

JOB = "arn:aws:sagemaker:eu-central-1:111122223333:training-job/pipelines-abc-TrainMsi-1"


@pytest.mark.parametrize(
    ("partition", "region", "start"),
    [
        ("aws", "eu-central-1", "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#"),
        ("aws-cn", "cn-north-1", "https://cn-north-1.console.amazonaws.cn/cloudwatch/home?region=cn-north-1#"),
        (
            "aws-us-gov",
            "us-gov-west-1",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1#",
        ),
    ],
)
def test_the_console_of_the_partition(example, partition, region, start):
    job = JOB.replace("arn:aws:", f"arn:{partition}:").replace("eu-central-1", region)
    location = log_location(Session(example, None, None, None), job)
    assert location.startswith(start)
    assert location.endswith("$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dpipelines-abc-TrainMsi-1$252F")


class Flaky:
    """Two pages of one stream; the second call fails once."""

    def __init__(self):
        self.faults = [None, ConnectionError("gone")]

    def describe_log_streams(self, **_):
        return {"logStreams": [{"logStreamName": "pipelines-abc-TrainMsi-1/algo-1-1794000000"}]}

    def get_log_events(self, *, nextToken=None, **_):
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        page = int(nextToken or 0)
        events = [{"message": f"page {page}", "timestamp": page, "ingestionTime": 9}] if page < 2 else []
        return {"events": events, "nextForwardToken": str(min(page + 1, 2))}


def test_a_call_that_fails_in_the_middle_loses_nothing(example):
    log = JobLog(Session(example, None, None, Flaky()), JOB)
    with pytest.raises(ConnectionError):
        log.new_events()
    assert log.new_events() == [{"host": "algo-1", "message": f"page {page}", "timestamp": page} for page in (0, 1)]
    assert log.new_events() == []
