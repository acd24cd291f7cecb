"""What a person names as slides, and where a run reads it: where it lies, copied by nobody."""

from dataclasses import replace

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from pipelines.config import LOCAL
from pipelines.service.predicting import placed, slides_uri
from pipelines.service.session import open_session


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path / "state"))
    return open_session(LOCAL)


@pytest.fixture
def own(tmp_path):
    """Two slides of a person's own."""
    folder = tmp_path / "own slides"
    folder.mkdir()
    for name in ("a.svs", "b.svs"):
        (folder / name).write_bytes(b"slide")
    return folder


def test_uris_and_folders_are_read_where_they_lie(session, own):
    assert slides_uri(session, ["s3://bucket/x/"]) == "s3://bucket/x"
    uri = Uri.parse(slides_uri(session, [str(own)]))
    assert sorted(entry.uri.name for entry in session.store.list(uri)) == ["a.svs", "b.svs"]
    assert slides_uri(session, [str(own)]) == str(uri)
    assert uri.under(session.store.root).is_symlink()


def test_what_lies_in_the_local_account_keeps_its_uri(session):
    path = session.store.root / "s3" / "local" / "slides"
    path.mkdir(parents=True)
    assert slides_uri(session, [str(path)]) == "s3://local/slides"


def test_several_slides_are_named_by_a_table_the_same_in_any_order(session, own):
    given = [str(own / "b.svs"), "s3://local/c.svs", str(own / "a.svs")]
    uri = slides_uri(session, given)
    names = session.store.read(Uri.parse(uri)).decode().splitlines()
    assert names[0] == "slide"
    assert sorted(Uri.parse(line).name for line in names[1:]) == ["a.svs", "b.svs", "c.svs"]
    assert Uri.parse(names[-1]).parent == Uri.parse(slides_uri(session, [str(own)]))  # the same slide as in its folder
    assert slides_uri(session, given[::-1]) == uri


def test_what_is_not_there_or_not_reached_is_refused(session, own):
    with pytest.raises(RequestError, match="there is no such file or folder"):
        slides_uri(session, [str(own / "c.svs")])
    away = replace(session, environment=LOCAL.model_copy(update={"name": "lab", "bucket": "bucket"}), store=object())
    with pytest.raises(RequestError, match=r"aws s3 cp --recursive '.*own slides' 's3://bucket/incoming/own slides'"):
        placed(away, own)
