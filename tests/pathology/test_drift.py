"""drift-baseline.json in an artefact: read where it is whole, refused in one line where it is not."""

import hashlib
import json

import numpy as np
import pytest
from pathology.contracts.errors import DataError


@pytest.fixture(scope="module")
def content():
    from pathology.contracts.drift import DriftBaseline, Embeddings
    from pathology.training.drift import colours, pack, reference

    vectors = np.random.default_rng(0).normal(size=(6, 4))
    made = DriftBaseline(
        encoder="tiny",
        encoder_sha256="d" * 64,
        settings_hash="abc",
        splits=("train",),
        unit="patches",
        items=9,
        taken=6,
        groups={},
        embeddings=Embeddings(of="it", **reference(vectors).model_dump()),
        colours=colours([(1, 2, 3, 4, 5, number) for number in range(6)], "patches", "all"),
    )
    return pack(made)[1]


def config(sha256):
    from pathology.artefact import ModelConfig

    encoder = {"name": "tiny", "sha256": "d" * 64, "dimension": 4, "published": False}
    return ModelConfig(encoder=encoder, training={}, inputs={}, drift_baseline=sha256, serving_code="", versions={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "lacks drift-baseline.json: register a whole one"),
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "drift-baseline.json is not the one that was packed"),
    ],
)
def test_a_baseline_that_is_gone_or_changed_is_named(tmp_path, content, change, message):
    from pathology.drift import read_drift_baseline

    named = config(hashlib.sha256(content).hexdigest())
    path = tmp_path / "drift-baseline.json"
    path.write_bytes(content)
    read, raw = read_drift_baseline(tmp_path, named)
    assert raw == content and read.to_json() == content
    change(path)
    with pytest.raises(DataError, match=message) as refused:
        read_drift_baseline(tmp_path, named)
    assert "\n" not in str(refused.value)
    assert read_drift_baseline(tmp_path, config(None)) is None


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format_version",), 2, "format_version"),
        (("embeddings", "sd"), [1.0], "sd"),
        (("embeddings", "sd"), [1.0, 1.0, 1.0, -1.0], "sd"),
        (("embeddings", "n"), 5, "taken"),
        (("colours", "quantiles"), None, "quantiles"),
        (("colours", "quantiles", "mean_red", "values"), [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], "rise"),
        (("surplus",), 1, "surplus"),
    ],
)
def test_a_baseline_that_contradicts_itself_is_refused_in_one_line(tmp_path, content, place, value, message):
    from pathology.drift import read_drift_baseline

    changed = json.loads(content)
    part = changed
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    damaged = json.dumps(changed).encode()
    (tmp_path / "drift-baseline.json").write_bytes(damaged)
    with pytest.raises(DataError, match=message) as refused:
        read_drift_baseline(tmp_path, config(hashlib.sha256(damaged).hexdigest()))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("task", ["msi", "mhist", "lizard"])
def test_an_endpoint_has_nothing_to_do_with_the_baseline(task):
    from pathology.serving.code import endpoint_code

    assert not [name for name in endpoint_code(f"pathology.tasks.{task}.serving").files if name.endswith("drift.py")]
