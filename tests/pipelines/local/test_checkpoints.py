"""The prefix of checkpoints is copied into a job, and what the job writes goes back while it runs."""

import pytest
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.checkpoints import CheckpointSync

PREFIX = Uri.parse("s3://bucket/checkpoints/Train/abc")


@pytest.fixture
def store(tmp_path):
    store = FolderStore(tmp_path / "store")
    store.write(PREFIX / "other" / "last.ckpt", b"other's")
    return store


def objects(store):
    return {entry.uri.path.removeprefix("checkpoints/Train/"): store.read(entry.uri) for entry in store.list(PREFIX.parent)}


def test_a_job_gets_a_copy_and_gives_back_what_it_wrote(store, tmp_path):
    sync = CheckpointSync(store, PREFIX, tmp_path / "job")
    sync.restore()
    restored = sync.folder / "other" / "last.ckpt"
    assert restored.read_bytes() == b"other's" and not restored.is_symlink()
    restored.unlink()
    (sync.folder / "mine").write_bytes(b"1")
    (sync.folder / ".mine.tmp").write_bytes(b"half")
    sync.push()
    (sync.folder / "mine").write_bytes(b"22")
    sync.close()
    assert objects(store) == {"abc/other/last.ckpt": b"other's", "abc/mine": b"22"}
    assert not sync.folder.exists()


def test_what_was_only_restored_does_not_overwrite_what_came_since(store, tmp_path):
    """Two executions at once: the second writes after the first has restored, and before it ends."""
    first, second = (CheckpointSync(store, PREFIX, tmp_path / name) for name in ("first", "second"))
    first.restore()
    second.restore()
    (second.folder / "other" / "last.ckpt").write_bytes(b"newer")
    second.push()
    (first.folder / "mine").write_bytes(b"1")
    assert not (second.folder / "mine").exists()  # a copy, not one folder for both
    first.close()
    assert objects(store) == {"abc/other/last.ckpt": b"newer", "abc/mine": b"1"}
    after = CheckpointSync(store, PREFIX, tmp_path / "after")
    after.restore()
    assert (after.folder / "mine").read_bytes() == b"1"


def test_neighbours_of_a_prefix_come_too_as_they_do_from_s3(store, tmp_path):
    sync = CheckpointSync(store, Uri.parse("s3://bucket/checkpoints/Train/a"), tmp_path / "job")
    sync.restore()
    assert [path.name for path in sync.folder.rglob("*") if path.is_file()] == ["last.ckpt"]


def test_what_a_killed_job_wrote_is_there_for_the_next(account, make):
    """SIGKILL leaves no time to say goodbye; the next execution resumes."""
    account.pipeline(
        make.training("Train", "save_and_die", arguments={"CheckpointConfig": {"S3Uri": str(PREFIX)}}),
    )
    execution, _ = account.run()
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert account.read(f"{PREFIX}/saved") == b"1"
    account.run()
    assert account.read(f"{PREFIX}/saved") == b"11"
