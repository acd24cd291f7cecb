import threading

import boto3
import pytest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import FolderStore, S3Store
from pathology.contracts.uris import Uri


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    from moto import mock_aws

    if request.param == "folder":
        yield FolderStore(tmp_path)
        return
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield S3Store(client)


def test_objects_go_in_and_come_out(store, tmp_path):
    uri = Uri.parse("s3://bucket/a/b.txt")
    store.write(uri, b"one")
    assert store.read(uri) == b"one"
    assert store.entry(uri).bytes == 3
    store.download(uri, tmp_path / "down" / "b.txt")
    assert (tmp_path / "down" / "b.txt").read_bytes() == b"one"
    store.upload(tmp_path / "down" / "b.txt", uri.parse("s3://bucket/a/c.txt"))
    assert [str(entry.uri) for entry in store.list(Uri.parse("s3://bucket/a"))] == ["s3://bucket/a/b.txt", "s3://bucket/a/c.txt"]


def test_mark_changes_with_the_object(store):
    uri = Uri.parse("s3://bucket/labels.csv")
    store.write(uri, b"one")
    before = store.entry(uri).mark
    store.write(uri, b"two")
    assert store.entry(uri).mark != before


def test_create_happens_once(store):
    uri = Uri.parse("s3://bucket/claim")
    assert store.create(uri, b"first") is True
    assert store.create(uri, b"second") is False
    assert store.read(uri) == b"first"


def test_what_is_not_there_is_named(store, tmp_path):
    uri = Uri.parse("s3://bucket/nothing")
    assert store.entry(uri) is None
    assert list(store.list(uri)) == []
    with pytest.raises(DataError, match="s3://bucket/nothing"):
        store.read(uri)
    with pytest.raises(DataError, match="s3://bucket/nothing"):
        store.download(uri, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_one_of_many_claims_wins(tmp_path):
    store, uri, won = FolderStore(tmp_path), Uri.parse("s3://bucket/claim"), []
    barrier = threading.Barrier(8)

    def claim(number):
        barrier.wait()
        if store.create(uri, str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read(uri) == str(won[0]).encode()


@pytest.mark.parametrize("text", ["/data", "http://x/y", "s3://", "s3://bucket/../other", "efs://fs-1/a/../../b", ""])
def test_what_is_no_uri_is_refused(text):
    with pytest.raises(RequestError):
        Uri.parse(text)
