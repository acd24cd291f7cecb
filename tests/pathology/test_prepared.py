"""Prepare's two ends: what a person's URI names and what lies beside it, and folders that are named by their content."""

import subprocess
import threading

import boto3
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.prepared import COMPLETE
from pathology.contracts.storage import FolderStore, S3Store
from pathology.contracts.uris import Uri
from pathology.prepared import Inputs, publish, publish_files

ROOT = Uri.parse("s3://bucket/prepared/msi")
FILES = {"cohort.csv": b"slide_id,label\n1,0\n", "classes.json": b"[]", "images/a.png": b"png"}


@pytest.fixture(scope="module")
def s3():
    from moto import mock_aws

    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        yield FolderStore(tmp_path / "store")
        return
    client = request.getfixturevalue("s3")
    client.create_bucket(Bucket="bucket")
    yield S3Store(client)
    for item in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=item["Key"])
    client.delete_bucket(Bucket="bucket")


class Counting:
    """A store that keeps the names of what is put, and dies before it puts ``until``."""

    def __init__(self, store, until=None):
        self.store, self.until, self.puts = store, until, []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def write(self, uri, content):
        self._put(uri)
        self.store.write(uri, content)

    def create(self, uri, content):
        self._put(uri)
        return self.store.create(uri, content)

    def _put(self, uri):
        if uri.name == self.until:
            raise InterruptedError(uri.name)
        self.puts.append(uri.name)


def held(store):
    """Contents by key below prepared/msi, and the folders that they lie in."""
    found = {entry.uri.path.removeprefix(f"{ROOT.path}/"): store.read(entry.uri) for entry in store.list(ROOT)}
    return {key.partition("/")[2]: content for key, content in found.items()}, {key.partition("/")[0] for key in found}


def test_published_twice_is_one_folder_and_nothing_is_written_twice(store, tmp_path):
    counting = Counting(store)
    first = publish(counting, ROOT, FILES)
    assert first.uri == f"{ROOT}/{first.sha256[:32]}/"
    assert sorted(counting.puts) == ["COMPLETE", "a.png", "classes.json", "cohort.csv"] and counting.puts[-1] == COMPLETE
    assert publish(counting, ROOT, dict(reversed(FILES.items()))) == first
    assert len(counting.puts) == 4
    content, folders = held(store)
    assert (content, len(folders)) == ({**FILES, COMPLETE: f"{first.sha256}\n".encode()}, 1)
    for name, text in FILES.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(text)
    hashes = dict(line.split("  ")[::-1] for line in sha256sum(tmp_path / "out"))
    assert publish_files(counting, ROOT, tmp_path / "out", hashes) == first
    assert len(counting.puts) == 4


def sha256sum(folder):
    """Hashes by another program."""
    listed = subprocess.run(["sha256sum", *FILES], cwd=folder, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


@pytest.mark.parametrize(
    "changed", [{"cohort.csv": b"slide_id,label\n1,1\n"}, {"another": b""}, {"cohort.csv": None, "x.csv": b""}]
)
def test_other_content_or_another_name_is_another_folder(store, changed):
    first = publish(store, ROOT, FILES)
    other = publish(store, ROOT, {name: text for name, text in {**FILES, **changed}.items() if text is not None})
    assert first.uri != other.uri and first.sha256 != other.sha256
    assert len(held(store)[1]) == 2


def test_an_object_of_another_size_is_written_again(store):
    first = publish(store, ROOT, FILES)
    store.write(Uri.parse(first.uri) / "cohort.csv", b"cut")
    counting = Counting(store)
    assert publish(counting, ROOT, FILES) == first
    assert (set(counting.puts), held(store)[0]["cohort.csv"]) == ({"cohort.csv", COMPLETE}, FILES["cohort.csv"])


@pytest.mark.parametrize("until", ["cohort.csv", "a.png", COMPLETE])
def test_killed_before_it_was_complete_and_completed_by_the_next(store, until):
    with pytest.raises(InterruptedError):
        publish(Counting(store, until), ROOT, FILES)
    there = set(held(store)[0])
    assert COMPLETE not in there
    counting = Counting(store)
    handed = publish(counting, ROOT, FILES)
    content, folders = held(store)
    assert (content, len(folders)) == ({**FILES, COMPLETE: f"{handed.sha256}\n".encode()}, 1)
    assert not set(counting.puts) & {name.rpartition("/")[2] for name in there}


def test_two_publishers_at_once_make_one_folder(store):
    barrier, handed = threading.Barrier(2), []

    class Together(Counting):
        """Both have found nothing there before either puts anything."""

        def list(self, uri):
            found = list(self.store.list(uri))
            barrier.wait()
            return iter(found)

    def one():
        handed.append(publish(Together(store), ROOT, FILES))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handed) == 2 and handed[0] == handed[1]
    content, folders = held(store)
    assert (content, len(folders)) == ({**FILES, COMPLETE: f"{handed[0].sha256}\n".encode()}, 1)


# ---- Inputs ----

THERE = {
    "labels/liu.xlsx": b"table",
    "labels/liu.xlsx.bak": b"older table",
    "models/h-optimus-0/encoder.json": b"{}",
    "models/h-optimus-0/deep/weights.pth": b"w",
    "models/h-optimus-0-mini/encoder.json": b"mini",
    "tables/a.csv": b"a",
    "tables/b.CSV": b"b",
    "tables/c.txt": b"c",
}


@pytest.fixture
def inputs(store, tmp_path):
    for key, content in THERE.items():
        store.write(Uri("s3", "bucket", key), content)
    return Inputs(store, tmp_path / "inputs")


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_a_folder_is_what_lies_below_it_and_not_its_neighbour(inputs, slash):
    folder = inputs.folder("encoder", f"s3://bucket/models/h-optimus-0{slash}")
    assert files(folder) == {"encoder.json": b"{}", "deep/weights.pth": b"w"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_file_is_the_named_one_and_not_the_one_whose_name_goes_on(inputs, slash):
    assert inputs.file("labels", f"s3://bucket/labels/liu.xlsx{slash}").read_bytes() == b"table"
    assert files(inputs.folder("again", f"s3://bucket/labels/liu.xlsx{slash}")) == {"liu.xlsx": b"table"}


def test_a_folder_with_one_candidate_is_that_file(inputs):
    assert inputs.file("labels", "s3://bucket/labels/", ".xlsx").name == "liu.xlsx"
    assert inputs.file("text", "s3://bucket/tables", ".txt").read_bytes() == b"c"


@pytest.mark.parametrize(
    ("uri", "suffix", "said"),
    [
        ("s3://bucket/tables", ".csv", "should be one .csv and holds 2: give the URI of one"),
        ("s3://bucket/tables/", "", "should be one file and holds 3: give the URI of one"),
        ("s3://bucket/tables", ".xlsx", "should be one .xlsx and holds 0"),
        ("s3://bucket/models/h-optimus", "", "s3://bucket/models/h-optimus: nothing is there"),
        ("s3://bucket/empty/", "", "s3://bucket/empty: nothing is there"),
    ],
)
def test_none_and_several_are_told_apart(inputs, store, uri, suffix, said):
    if isinstance(store, FolderStore):
        Uri.parse("s3://bucket/empty").under(store.root).mkdir()
    else:
        store.client.put_object(Bucket="bucket", Key="empty/", Body=b"")  # as the console makes a folder
    with pytest.raises(DataError, match=said):
        inputs.file("labels", uri, suffix)


def test_an_empty_folder_is_refused(inputs, store):
    with pytest.raises(DataError, match="s3://bucket/empty: nothing is there: correct the URI"):
        inputs.folder("data", "s3://bucket/empty/")


def test_messages_name_files_by_where_they_come_from(inputs):
    table, folder = (
        inputs.file("labels", "s3://bucket/labels/liu.xlsx"),
        inputs.folder("encoder", "s3://bucket/models/h-optimus-0/"),
    )
    with (
        pytest.raises(DataError, match=r"^s3://bucket/labels/liu.xlsx: of s3://bucket/models/h-optimus-0/encoder.json$"),
        inputs.named_by_uri(),
    ):
        raise DataError(f"{table}: of {folder / 'encoder.json'}")
