import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.msi.train import TrainMsi

URIS = {name: f"s3://bucket/{name}" for name in ("slides", "labels", "encoder", "prepared")}


def test_strings_as_a_job_gets_them_are_read_back():
    settings = PrepareMsiJob(**URIS, positive=("MSI-H", "dMMR"), manifest=None)
    strings = settings.as_strings()
    assert strings["positive"] == "MSI-H,dMMR"
    assert strings["manifest"] == "none"
    assert PrepareMsiJob.parse(strings, "test") == settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epoch": "3"}, "epoch: unknown key"),
        ({"epochs": "0"}, "epochs: Input should be greater than or equal to 1, not '0'"),
        ({"epochs": "three"}, "epochs: Input should be a valid integer"),
        ({"learning-rate": "nan"}, "learning-rate: Input should be a finite number"),
    ],
)
def test_wrong_values_are_named(values, said):
    with pytest.raises(RequestError) as refused:
        TrainMsi.parse(values, "train")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_slides_must_be_a_uri():
    with pytest.raises(RequestError, match=r"slides: '/data/slides' is not a valid URI"):
        PrepareMsiJob.parse({**URIS, "slides": "/data/slides"}, "prepare")


def test_settings_hash_follows_what_changes_bytes_and_nothing_else():
    base = {"features": "s3://bucket/features"}
    same = [ExtractFeaturesJob(**base), ExtractFeaturesJob(**base, batch_size=8), ExtractFeaturesJob(**base, extraction_run="2")]
    assert len({settings.hash("tiny", "0" * 64) for settings in same}) == 1
    other = [
        same[0].hash("tiny", "1" * 64),
        same[0].hash("other", "0" * 64),
        ExtractFeaturesJob(**base, mpp=0.25).hash("tiny", "0" * 64),
        ExtractFeaturesJob(**base, seed=1).hash("tiny", "0" * 64),
    ]
    assert len({same[0].hash("tiny", "0" * 64), *other}) == 5
    assert Tiling().hash("tiny", "0" * 64) == same[0].hash("tiny", "0" * 64)


def test_a_later_option_that_is_not_used_leaves_the_hash_as_it_was():
    """Features that were made before the option came stay finished."""
    assert Tiling().hash("tiny", "0" * 64) == "3841ca26054ce4f0"
    changed = (
        {"tissue_saturation": 20},
        {"min_tissue_area": 1},
        {"max_hole": 1},
        {"remove_ink": False},
        {"objective_scale": True},
    )
    assert len({Tiling(**values).hash("tiny", "0" * 64) for values in ({}, *changed)}) == 6
