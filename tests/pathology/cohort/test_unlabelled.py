"""Slides that have features already: they serve again, and nobody's features are written over."""

import pytest
from pathology.cohort.slides import StoredSlide
from pathology.cohort.unlabelled import to_extract
from pathology.contracts.features import Sidecar
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.wsi.layout import FeatureLayout

LAYOUT = FeatureLayout.of("s3://bucket/features", "0123456789abcdef")
HERE = "s3://bucket/slides/a.svs"
MD5 = "d" * 32


def slide(uri=HERE, size=5, mark="e1"):
    return StoredSlide("a", Uri.parse(uri), size, path="a.svs", mark=mark)


def known(store, one, mpps=None, **sidecar):
    folder = FolderStore(store.parents[1])
    if sidecar:
        said = {"slide_id": "a", "status": "ok", "settings_hash": LAYOUT.settings_hash, "slide_uri": HERE, "bytes": 5, **sidecar}
        folder.write(LAYOUT.sidecar("a"), Sidecar(**said).to_json())
    (row,) = to_extract([one], mpps or {}, LAYOUT, folder)
    found = LAYOUT.read_sidecar(folder, row.slide_id)
    return row, found is not None and LAYOUT.matches(found, row)


def test_a_slide_without_features_is_as_the_store_has_it(store):
    row, finished = known(store, slide(), {"a": 0.25})
    assert (row.slide_id, row.slide_uri, row.bytes, row.etag, row.md5, row.mpp) == ("a", HERE, 5, "e1", "", 0.25)
    assert not finished


@pytest.mark.parametrize(
    "sidecar",
    [
        {"etag": "e1"},
        {"md5": MD5},
        {"etag": "e1", "cohort_mpp": 0.25},
        {"md5": MD5, "mask_uri": "s3://bucket/m.png", "mask_sha256": "a" * 64},
    ],
)
def test_features_of_training_serve_whatever_it_knew_besides(store, sidecar):
    row, finished = known(store, slide(), **sidecar)
    assert finished
    assert row.slide_id == "a"


@pytest.mark.parametrize("sidecar", [{"etag": "e2"}, {"etag": "e1", "bytes": 6}, {"md5": MD5, "bytes": 6}])
def test_a_slide_that_was_replaced_is_extracted_again(store, sidecar):
    row, finished = known(store, slide(), **sidecar)
    assert (row.slide_id, row.etag, row.md5, finished) == ("a", "e1", "", False)


def test_another_slide_of_that_name_and_another_scale_get_an_id_of_their_own(store):
    other, finished = known(store, slide("s3://bucket/other/a.svs"), etag="e1")
    assert other.slide_id.startswith("a-") and not finished
    scaled, finished = known(store, slide(), {"a": 0.5}, etag="e1", cohort_mpp=0.25)
    assert scaled.slide_id.startswith("a-") and not finished
    assert scaled.slide_id != other.slide_id
    assert known(store, slide("s3://bucket/other/a.svs"))[0] == other  # the same again
