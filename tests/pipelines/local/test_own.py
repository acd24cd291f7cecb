"""One's own files in the local account: by URI for runs, by path for people."""

import json

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore

from pipelines.local.own import link, with_own_paths
from pipelines.local.volumes import fill_from_s3


def test_a_path_has_a_uri_of_its_own_for_good(tmp_path, monkeypatch):
    state = tmp_path / "state"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my labels.csv").write_text(folder)
    first, second = (link(state, tmp_path / folder / "my labels.csv") for folder in ("a", "b"))
    assert first != second
    assert [FolderStore(state).read(uri) for uri in (first, second)] == [b"a", b"b"]
    monkeypatch.chdir(tmp_path / "b")
    assert link(state, tmp_path / "b" / "my labels.csv") == second
    text = f"{first}, line 3: bad; and {second} too"
    assert with_own_paths(state, text) == f"{tmp_path}/a/my labels.csv, line 3: bad; and {tmp_path}/b/my labels.csv too"
    assert with_own_paths(state, "s3://local/other/x") == "s3://local/other/x"


def test_what_is_gone_is_named_by_its_path(tmp_path):
    (tmp_path / "slides").mkdir()
    uri = link(tmp_path / "state", tmp_path / "slides")
    (tmp_path / "slides").rmdir()
    with pytest.raises(DataError) as gone:
        fill_from_s3(FolderStore(tmp_path / "state"), {"S3Uri": str(uri)}, tmp_path / "in", 0, 1)
    assert with_own_paths(tmp_path / "state", str(gone.value)) == f"nothing lies at {tmp_path}/slides any more"


def test_verbs_name_ones_own_file_by_its_path_and_the_mistake_in_the_jobs_words(account, make, here, monkeypatch, tmp_path):
    """What Describe answers stays as the service has it."""
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    (tmp_path / "labels.csv").write_text("x")
    uri = link(account.root, tmp_path / "labels.csv")
    parameters = [{"Name": "LabelsUri", "Type": "String", "DefaultValue": str(uri)}]
    bad = make.processing("Bad", "fail_about", environment={"ABOUT": {"Get": "Parameters.LabelsUri"}})
    account.pipeline(bad, name="pathology-msi", parameters=parameters)
    failed = here("start", "--task", "msi")
    message = f"{tmp_path}/labels.csv has no column label"
    assert failed.code == 1
    assert f": {message}\n" in failed.out
    assert f"Bad failed: {message}\n" in failed.out
    assert "Error" not in failed.out
    assert "s3://local/own" not in failed.out
    assert message in here("logs", "Bad", "--task", "msi").out
    shown = here("show", "--task", "msi")
    assert f"Bad failed: {message}" in shown.out
    lines = "".join(line.split()[-1] for line in shown.out.splitlines() if "own" in line or "labels.csv" in line)
    assert str(uri)[:20] in lines
    listed = json.loads(here("executions", "--task", "msi", "--json").out)
    assert listed[0]["reason"] == f"step Bad: {message}"
    (step,) = account.steps(listed[0]["arn"]).values()
    assert step["FailureReason"] == f"AlgorithmError: {uri} has no column label, exit code: 1"
