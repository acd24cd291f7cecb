"""A patient's feature files in S3: one client for all requests, and what S3 may answer instead of them."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pathology.serving.named import NamedError, UnavailableError


def request(*names, sha256="0" * 64):
    from pathology.tasks.msi.patients import PatientRequest

    slides = [{"slide_id": name, "features": f"s3://bucket/f/{name}.h5", "sha256": sha256} for name in names]
    return PatientRequest.model_validate({"slides": slides})


@pytest.fixture
def s3(monkeypatch):
    """A bucket in moto's S3, and the calls that clients make."""
    from moto import mock_aws
    from pathology.tasks.msi import patients

    monkeypatch.delenv("PATHOLOGY_URI_ROOT", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        patients._opened.cache_clear()
        yield client
    patients._opened.cache_clear()


def test_one_client_serves_all_requests_and_sizes_are_asked_before_anything_is_fetched(s3, msi_run, monkeypatch):
    from pathology.tasks.msi import patients, serving

    slides = [row for row in msi_run.slides if row.slide_id.startswith("P000")]
    contents = [msi_run.feature_file(row.slide_id).read_bytes() for row in slides]
    for row, content in zip(slides, contents, strict=True):
        s3.put_object(Bucket="bucket", Key=row.features.removeprefix("s3://bucket/"), Body=content)
    made, calls, make = [], [], boto3.client

    def client(*arguments, **options):
        made.append(make(*arguments, **options))
        made[-1].meta.events.register("before-call.s3.*", lambda model, **_: calls.append(model.name))
        return made[-1]

    monkeypatch.setattr(boto3, "client", client)
    config = serving.load_ensemble(msi_run.root / "ml" / "model").config
    named = [{name: getattr(row, name) for name in ("slide_id", "features", "sha256")} for row in slides]
    asked = patients.PatientRequest.model_validate({"slides": named})
    assert patients.size(asked) == sum(map(len, contents)) and calls == ["HeadObject"] * 2
    patients._opened.cache_clear()  # four threads ask for the first time at once
    with ThreadPoolExecutor(4) as pool:
        bag, again, *_ = pool.map(lambda _: patients.fetch(asked, config), range(4))
    assert len(bag.features) == bag.tiles.pooled == sum(row.tiles for row in slides)
    assert (bag.features == again.features).all() and bag.nbytes == bag.features.nbytes
    assert [place.slide_id for place in bag.places] == [row.slide_id for row in slides] and {
        place.side for place in bag.places
    } == {448.5}
    assert len(made) == 2  # one, and after it was forgotten one more


def test_what_is_not_there_is_gone(s3):
    from pathology.tasks.msi import patients

    s3.put_object(Bucket="bucket", Key="f/a.h5", Body=b"x")
    with pytest.raises(
        NamedError, match=r"^slide b: its feature file is gone \(s3://bucket/f/b.h5: there is no such object\)"
    ) as caught:
        patients.size(request("a", "b"))
    assert caught.value.logged == "slide 2 of 2: its feature file is gone"
    with pytest.raises(NamedError, match=r"^slide b: its feature file is gone"):
        patients.fetch(request("b"), None)


def test_a_file_is_held_against_its_hash_before_it_is_opened(s3, monkeypatch):
    from pathology.tasks.msi import patients
    from pathology.wsi import features

    s3.put_object(Bucket="bucket", Key="f/a.h5", Body=b"not HDF5")
    monkeypatch.setattr(features.h5py, "File", lambda *_: pytest.fail("it is opened"))
    with pytest.raises(NamedError, match="slide a: .* changed since it was written"):
        patients.fetch(request("a"), None)
    monkeypatch.undo()
    sha256 = hashlib.sha256(b"not HDF5").hexdigest()
    with pytest.raises(NamedError, match="slide a: .* cannot be read as HDF5"):
        patients.fetch(request("a", sha256=sha256), None)


def answered(status, code):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "HeadObject")


FORBIDDEN = "slide a: its feature file may not be read by this endpoint: let its role read it, or give another URI"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answered(403, "AccessDenied"), NamedError, FORBIDDEN),
        (answered(400, "KMS.DisabledException"), NamedError, FORBIDDEN),
        (PermissionError(13, "Permission denied"), NamedError, FORBIDDEN),
        (answered(503, "SlowDown"), UnavailableError, "does not answer now: try again"),
        (answered(500, "InternalError"), UnavailableError, "does not answer now: try again"),
        (answered(429, "TooManyRequests"), UnavailableError, "does not answer now: try again"),
        (EndpointConnectionError(endpoint_url="https://x"), UnavailableError, "does not answer now: try again"),
        (OSError(28, "No space left on device"), OSError, "No space left"),
    ],
)
@pytest.mark.parametrize("call", ["size", "fetch"])
def test_a_file_that_cannot_be_read_now_and_one_that_may_not(monkeypatch, error, kind, said, call):
    from pathology.tasks.msi import patients

    class Store:
        def entry(self, uri):
            raise error

        def download(self, uri, path):
            raise error

    monkeypatch.setattr(patients, "_store", Store)
    with pytest.raises(kind, match=said):
        patients.size(request("a")) if call == "size" else patients.fetch(request("a"), None)
