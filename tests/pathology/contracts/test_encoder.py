"""What an encoder's name stands on: its publisher's hash, a person's word, or a seed; also in files of before."""

import json

import pytest
from named_encoders import BY_HAND, H_OPTIMUS_0, SOURCE
from pathology.contracts.encoder import EncoderManifest, NamedEncoder
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import EncoderReport
from pathology.contracts.registry import registry_text

OLD = {"name": "h-optimus-0", "architecture": "vit", "sha256": "d" * 64, "dimension": 1536}
"""encoder.json as it was, but for ``published``."""


def read(**values) -> EncoderManifest:
    return EncoderManifest.from_json(json.dumps(values).encode(), "encoder.json")


def test_only_the_publishers_hash_verifies_a_name():
    assert (H_OPTIMUS_0.verified, H_OPTIMUS_0.origin) == (True, f"verified: bioptimus/H-optimus-0 at {SOURCE.revision}")
    assert (BY_HAND.verified, BY_HAND.origin) == (False, "not verified: named by hand")
    placeholder = NamedEncoder(name="tiny", sha256="0" * 64, placeholder=True)
    assert (placeholder.verified, placeholder.origin) == (False, "placeholder with seeded weights")


@pytest.mark.parametrize("encoder", [H_OPTIMUS_0, BY_HAND])
def test_an_evaluation_says_what_the_manifest_does(encoder):
    report = EncoderReport.of(encoder)
    assert (report.verified, report.origin, report.source) == (encoder.verified, encoder.origin, encoder.source)
    assert registry_text(report.origin) == report.origin


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"source": {**SOURCE.model_dump(), "sha256": "e" * 64}},
            "states the sha256 eeeeeeeeeeee… and the checkpoint's is dddddddddddd…",
        ),
        ({"source": SOURCE.model_dump(), "placeholder": True}, "a placeholder has no source"),
        ({"source": {**SOURCE.model_dump(), "revision": "main"}}, "source.revision"),
        ({"source": {**SOURCE.model_dump(), "repository": "H-optimus-0, really"}}, "source.repository"),
        ({"published": "yes"}, "published is true or false, not 'yes'"),
        ({"verified": True}, "verified: unknown key"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(values, words):
    with pytest.raises(DataError, match="encoder.json") as caught:
        read(**OLD, **values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("published", "origin", "remark"),
    [(True, "not verified: named by hand", "--record-origin"), (False, "placeholder with seeded weights", "")],
)
def test_a_manifest_of_before_is_read_and_believed_no_more_than_it_proves(published, origin, remark):
    manifest = read(**OLD, published=published)
    assert (manifest.name, manifest.sha256, manifest.verified, manifest.origin) == ("h-optimus-0", "d" * 64, False, origin)
    assert manifest.placeholder is not published and remark in manifest.remark
    assert read(**json.loads(manifest.to_json())) == manifest
    assert read(**OLD, published=published, remark="ours").remark == "ours"
