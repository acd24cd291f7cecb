"""encoder.json: a published name by the publisher's hash alone, any other by its owner's word; shapes give none."""

import pytest
from pathology.contracts.hashes import sha256_of
from pathology.encoders import describe
from pathology.encoders.encoder import H_OPTIMUS_0, load_encoder
from pathology.encoders.manifest import find_manifest
from pathology.encoders.tiny import ARGUMENTS

from tests.tiny_encoder import copy_tiny_encoder

REPOSITORY, COMMIT = "bioptimus/H-optimus-0", "0123456789" * 4


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkpoint.pth alone, of the shapes that the command takes for H-optimus-0's."""
    copy_tiny_encoder(tmp_path / "encoder")
    (tmp_path / "encoder" / "encoder.json").unlink()
    small = describe.Published(H_OPTIMUS_0, arguments=dict(ARGUMENTS), dimension=int(str(ARGUMENTS["embed_dim"])))
    monkeypatch.setitem(describe.PUBLISHED, REPOSITORY, small)
    return tmp_path / "encoder"


def stated(sha256, **changes):
    """The command's options for what the publisher states."""
    values = {"repository": REPOSITORY, "revision": COMMIT, "sha256": sha256, **changes}
    return [word for name, value in values.items() if value for word in (f"--{name}", value)]


def run(capsys, *arguments):
    code = describe.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def written(folder):
    return find_manifest(folder)[1]


@pytest.mark.slow
def test_weights_of_zeros_are_what_their_owner_calls_them_and_not_verified(folder, capsys):
    import torch

    path = folder / "checkpoint.pth"
    torch.save({key: torch.zeros_like(value) for key, value in torch.load(path, weights_only=True).items()}, path)
    code, said = run(capsys, folder, "--as", "zeros")
    assert code == 0 and "zeros (not verified: named by hand)" in said and "taken as H-optimus-0's: tiles of 224 px" in said
    manifest = written(folder)
    assert (manifest.name, manifest.verified, manifest.source, manifest.placeholder) == ("zeros", False, None, False)
    assert load_encoder(folder).manifest == manifest


@pytest.mark.parametrize("name", ["h-optimus-0", "H-Optimus-0", "hoptimus0", "h.optimus.0"])
def test_a_published_name_is_not_given_by_hand(folder, name, capsys):
    code, said = run(capsys, folder, "--as", name)
    assert code == 2 and "only its publisher's hash gives the name h-optimus-0: run infra/datasets/" in said
    assert not (folder / "encoder.json").exists()


@pytest.mark.parametrize("name", ["h-optimus-1", "h-optimus-0-tuned"])
def test_a_name_of_which_no_hash_is_known_is_its_owners_word(folder, name, capsys):
    assert run(capsys, folder, "--as", name)[0] == 0
    assert (written(folder).name, written(folder).verified) == (name, False)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--as", ""),
        ("--as", "mine", *stated("d" * 64)),
        stated(""),
        stated("d" * 64, revision=""),
        ("--as", "Not A Name"),
        stated("d" * 64, revision="main"),
        stated("D" * 64),
        stated("d" * 64, repository="somebody/else"),
    ],
)
def test_half_a_request_is_refused_and_nothing_written(folder, arguments, capsys):
    code, said = run(capsys, folder, *arguments)
    assert code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert not (folder / "encoder.json").exists()


def test_the_publishers_hash_gives_the_name_and_is_recorded(folder, capsys):
    sha256 = sha256_of(folder / "checkpoint.pth")
    code, said = run(capsys, folder, *stated(sha256))
    assert code == 0 and f"h-optimus-0 (verified: {REPOSITORY} at {COMMIT})" in said and "taken as" not in said
    manifest = written(folder)
    assert (manifest.name, manifest.sha256, manifest.verified) == ("h-optimus-0", sha256, True)
    assert manifest.source.model_dump() == {"repository": REPOSITORY, "revision": COMMIT, "sha256": sha256}
    assert load_encoder(folder).manifest == manifest
    code, said = run(capsys, folder, "--as", "mine")
    assert code == 1 and "names this checkpoint h-optimus-0, verified" in said and written(folder) == manifest


def test_another_file_than_the_published_one_gets_no_name(folder, capsys):
    code, said = run(capsys, folder, *stated("d" * 64))
    assert code == 1 and "states dddddddddddd…: fetch it again" in said
    assert not (folder / "encoder.json").exists()


def test_the_origin_is_added_to_a_manifest_of_before_without_reading_weights(folder, capsys, monkeypatch):
    path = folder / "checkpoint.pth"
    sha256 = sha256_of(path)
    before = describe.PUBLISHED[REPOSITORY].manifest("h-optimus-0", sha256).to_json()
    assert b'"source": null' in before
    (folder / "encoder.json").write_bytes(before.replace(b'"placeholder": false', b'"published": true'))
    assert written(folder).verified is False and "--record-origin" in written(folder).remark
    monkeypatch.setattr(describe, "read_weights", lambda path: pytest.fail("weights were read"))
    path.unlink()
    assert run(capsys, folder, *stated(sha256))[0] == 0
    assert (written(folder).name, written(folder).verified, written(folder).remark) == ("h-optimus-0", True, "")


@pytest.mark.parametrize("change", [{"name": "ours"}, {"mpp": 0.25}, {"mean": (0.5, 0.5, 0.5)}])
def test_features_of_a_manifest_that_says_otherwise_are_not_lost(folder, change, capsys):
    sha256 = sha256_of(folder / "checkpoint.pth")
    manifest = describe.PUBLISHED[REPOSITORY].manifest("h-optimus-0", sha256).model_copy(update=change)
    (folder / "encoder.json").write_bytes(manifest.to_json())
    code, said = run(capsys, folder, *stated(sha256))
    assert code == 1 and f"it says {next(iter(change))}" in said and "a folder of its own" in said
    assert written(folder) == manifest


def test_a_manifest_that_cannot_be_read_is_replaced_and_that_is_said(folder, capsys):
    (folder / "encoder.json").write_text("{")
    code, said = run(capsys, folder, "--as", "mine")
    assert code == 0 and "it is replaced" in said and written(folder).name == "mine"


def test_what_has_other_shapes_or_is_not_there_is_refused(tmp_path, capsys):
    copy_tiny_encoder(tmp_path / "encoder")
    before = (tmp_path / "encoder" / "encoder.json").read_bytes()
    code, said = run(capsys, tmp_path / "encoder", "--as", "mine")
    assert code == 1 and "lacks 'blocks.10" in said
    assert (tmp_path / "encoder" / "encoder.json").read_bytes() == before
    code, said = run(capsys, tmp_path, "--as", "mine")
    assert code == 1 and "no checkpoint.pth there" in said
