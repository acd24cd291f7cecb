"""The dataset's version: filled in by what lies there, or the run is refused, never left to chance."""

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.fingerprint import fingerprint, versioned

DATA = ("LabelsUri", "SlidesUri")
DEFAULTS = {"DatasetVersion": "1", "LabelsUri": "s3://b1x/labels.csv", "SlidesUri": "s3://b1x/slides"}


@pytest.fixture
def store(tmp_path):
    store = FolderStore(tmp_path)
    store.write(Uri.parse("s3://b1x/labels.csv"), b"x")
    store.write(Uri.parse("s3://b1x/slides/one.svs"), b"x")
    return store


def test_the_version_is_that_of_what_the_values_name(store):
    values = versioned(store, {"Epochs": "3"}, DEFAULTS, DATA)
    assert values == {"Epochs": "3", "DatasetVersion": fingerprint(store, DEFAULTS, DATA)}
    store.write(Uri.parse("s3://b1x/slides/two.svs"), b"x")
    assert versioned(store, {}, DEFAULTS, DATA) != {"DatasetVersion": values["DatasetVersion"]}
    assert versioned(store, {"DatasetVersion": "mine"}, DEFAULTS, DATA) == {"DatasetVersion": "mine"}


def test_a_pipeline_deployed_without_a_parameter_for_the_data_is_refused(store):
    """Its data would change unseen: the code that deployed it called the parameter otherwise."""
    older = {"DatasetVersion": "1", "LabelsUri": DEFAULTS["LabelsUri"], "SlidesFolder": DEFAULTS["SlidesUri"]}
    with pytest.raises(RequestError, match="the deployed pipeline has no parameter SlidesUri, .*upsert it"):
        versioned(store, {}, older, DATA)
    assert versioned(store, {"DatasetVersion": "mine"}, older, DATA) == {"DatasetVersion": "mine"}


def test_a_store_that_cannot_be_listed_is_said(store, monkeypatch):
    def fails(*_):
        raise OSError("no network")

    monkeypatch.setattr(FolderStore, "list", fails)
    with pytest.raises(
        RequestError, match="cannot be listed to see whether it changed .no network.; give --param DatasetVersion"
    ):
        versioned(store, {}, DEFAULTS, DATA)
