import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from pipelines.checks.caching import duration


def hits(steps):
    return {name for name, step in steps.items() if "CacheHitResult" in step}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, open_account, make):
    """The folder of an account in which First → Second and Never have run once, and that execution."""
    account = open_account(tmp_path_factory.mktemp("ran") / "state")
    account.pipeline(
        make.processing("First", "write", environment={"SCORE": {"Get": "Parameters.Score"}}, **make.cached),
        make.processing("Second", "copy", inputs={"data": make.get("First")}, **make.cached),
        make.processing("Never", "copy", inputs={"data": make.get("First")}),
        parameters=[{"Name": "Score", "Type": "String", "DefaultValue": "0.5"}],
    )
    execution, steps = account.run()
    assert hits(steps) == set()
    return account.root, execution


@pytest.fixture
def chain(ran, tmp_path, open_account):
    """A copy of it; ``first`` is the execution."""
    folder, execution = ran
    shutil.copytree(folder, tmp_path / "state", symlinks=True)
    account = open_account(tmp_path / "state")
    account.first = execution
    return account


def test_nothing_changed_is_cached_and_says_by_whom(chain):
    _, steps = chain.run()
    assert hits(steps) == {"First", "Second"}
    assert steps["First"]["CacheHitResult"]["SourcePipelineExecutionArn"] == chain.first["PipelineExecutionArn"]


def test_a_changed_variable_runs_again_and_so_does_what_follows(chain):
    _, steps = chain.run(Score="0.6")
    assert hits(steps) == set()


def test_outputs_that_are_gone_are_no_hit(chain):
    path = Uri.parse(f"s3://local/runs/{chain.first['PipelineExecutionArn'].rpartition('/')[2]}/First/out/value.json").under(
        chain.root
    )
    path.unlink()
    _, steps = chain.run()
    assert hits(steps) == set()


def test_one_object_gone_of_several_is_no_hit(account, make):
    for name in ("a", "b"):
        account.store.write(Uri.parse(f"s3://local/data/{name}.txt"), b"x")
    account.pipeline(make.processing("Copy", "copy", inputs={"data": "s3://local/data"}, **make.cached))
    first, _ = account.run()
    assert hits(account.run()[1]) == {"Copy"}
    identity = first["PipelineExecutionArn"].rpartition("/")[2]
    Uri.parse(f"s3://local/runs/{identity}/Copy/out/algo-1-b.txt").under(account.root).unlink()
    assert hits(account.run()[1]) == set()


def test_a_failure_is_never_a_hit(account, make):
    account.pipeline(make.processing("Bad", "fail_first", **make.cached))
    execution, _ = account.run()
    assert execution["PipelineExecutionStatus"] == "Failed"
    (account.root / "healed").touch()
    execution, steps = account.run()
    assert (execution["PipelineExecutionStatus"], hits(steps)) == ("Succeeded", set())


def test_what_follows_a_hit_reads_the_first_runs_outputs(chain):
    _, steps = chain.run()
    inputs = chain.job(steps["Never"])["ProcessingInputs"]
    first = chain.job(steps["First"])["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert inputs[1]["S3Input"]["S3Uri"] == first


def test_an_old_hit_has_expired(chain):
    for path in (chain.root / "cache").iterdir():
        record = json.loads(path.read_text())
        record["at"] = (datetime.now(UTC) - timedelta(days=31)).isoformat()
        path.write_text(json.dumps(record))
    _, steps = chain.run()
    assert hits(steps) == set()


def test_instance_type_is_not_in_the_key_and_code_is(account, make):
    step = make.processing("First", "write", **make.cached)
    account.pipeline(step)
    account.run()
    step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.m5.xlarge"

    def update():
        text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [step]})
        account.client.update_pipeline(PipelineName="test", PipelineDefinition=text)

    update()
    assert hits(account.run()[1]) == {"First"}
    other = "s3://local/code/other.tar.gz"
    account.store.write(Uri.parse(other), account.read(make.code))
    step["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = other
    update()
    assert hits(account.run()[1]) == set()


@pytest.mark.parametrize(
    ("text", "seconds"), [("P30D", 2592000), ("30d", 2592000), ("PT12H", 43200), ("T12H", 43200), ("P1DT1M", 86460)]
)
def test_durations(text, seconds):
    assert duration(text).total_seconds() == seconds


def test_an_invalid_duration_is_refused():
    with pytest.raises(RequestError, match="P30D"):
        duration("soon")
