"""A champion whose stored predictions are of other items answers by its artefact, on its own code, in a process of its own."""

import csv
import errno
import hashlib
import io
import json
import tarfile
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from pathology.asked import NotAnsweredError, Objects
from pathology.champion import Champion, compare_with
from pathology.contracts.cohort import SlideRow
from pathology.contracts.comparison.reading import StoredEvaluation
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.learned_from import Item, LearnedFrom
from pathology.contracts.mhist import comparison as mhist
from pathology.contracts.mhist.patches import MhistPatchRow
from pathology.contracts.msi import comparison as msi
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.patches.asking import patch_asking
from pathology.tasks.msi.asking import ASKING as MSI

from tests.pipelines.local.test_compare_jobs import GOOD, PATIENTS, asked, compare, evaluation, register

assert asked  # a fixture

ARCHIVE, SLIDES = "s3://local/models/champion/model.tar.gz", "s3://local/collected/slides.csv"
ENCODER = EncoderManifest(name="tiny", architecture="vit", sha256="e" * 64, dimension=4, placeholder=True, remark="for tests")
INFERENCE = """
import json, os, signal, sys, time
from pathlib import Path

class DataError(Exception):
    pass

def model_fn(folder):
    print("what a model prints is no answer")
    leaked = [name for name in os.environ if name.startswith("AWS") or name == "SECRET"]
    assert not leaked and "pathology" not in sys.modules, leaked
    {model}
    return folder

def input_fn(body, content_type):
    return body.decode()

def predict_fn(body, model):
    {predict}
    slide = json.loads(body)["slides"][0]
    root = Path(os.environ["PATHOLOGY_URI_ROOT"])
    assert len(list(root.rglob("*.h5"))) == 1, "one patient's features at a time"
    return (root / "s3" / slide["features"].removeprefix("s3://")).read_text()

def output_fn(prediction, accept):
    assert accept == "application/json"
    return b'{{"probability": %s}}' % prediction.encode()
"""
PATCHES = """
import json, os
from pathlib import Path

def model_fn(folder):
    assert (Path(os.environ["PATHOLOGY_ENCODER"]) / "weights").read_bytes() == b"w"

def input_fn(body, content_type):
    assert content_type == "image/png"
    return body.decode()

def predict_fn(bodies, model):
    assert isinstance(bodies, list)
    return bodies

def output_fn(prediction, accept):
    return b'{"probability": %s}' % prediction.encode()
"""


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "uris")


def packed(store, inference, *, learned=None, **config):
    """The champion's model.tar.gz in the store; which model it is."""
    files = {"code/inference.py": inference.encode()}
    if learned:
        config["learned_from"], files["learned-from.json"] = learned.pack()
    encoder = {"name": ENCODER.name, "sha256": ENCODER.sha256, "later": 1}
    files["config.json"] = json.dumps(
        {"format_version": 3, "task": "msi", "threshold": 0.5, "encoder": encoder, **config}
    ).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    store.write(Uri.parse(ARCHIVE), raw.getvalue())
    return hashlib.sha256(files["config.json"]).hexdigest()[:12]


def approved(store, model, *, patients=20, task="msi", **metadata):
    """A champion as the registry describes it, that was evaluated on the first ``patients`` alone."""
    for name, content in evaluation(2.0, patients=patients, task=task, version=model).items():
        store.write(Uri.parse(f"s3://local/runs/champion/{name}"), content)
    described = {
        "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": "s3://local/runs/champion/evaluation.json"}}},
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": ARCHIVE}]},
        "CustomerMetadataProperties": {"model_version": model, **metadata},
    }
    return Champion("version 1", "arn", described)


def compared(store, champion, files, task=msi.COMPARABLE, asking=MSI, seconds=60):
    """What a Compare job finds."""
    candidate = StoredEvaluation.of("the candidate", files["evaluation.json"], files["predictions.csv"])
    return compare_with(champion, candidate, task, asking, Objects(store), seconds)


def msi_candidate(store):
    """GOOD, with slides.csv of feature files that hold its own probabilities in place of features."""
    rows = []
    for row in csv.DictReader(io.StringIO(GOOD["predictions.csv"].decode())):
        slide = row["slide_ids"]
        uri = f"s3://local/features/{slide}.h5"
        store.write(Uri.parse(uri), row["probability"].encode())
        values = dict.fromkeys(SlideRow.model_fields, "") | {
            "slide_id": slide,
            "status": "ok",
            "features": uri,
            "sha256": "f" * 64,
        }
        rows.append(SlideRow.model_validate(values))
    table = SlideRow.table(rows)
    store.write(Uri.parse(SLIDES), table)
    data = {"data": {"slides_sha256": hashlib.sha256(table).hexdigest()}, "data_uris": {"slides": SLIDES}}
    return evaluation(2.0, uris=data)


def inference(*, model="", predict=""):
    return INFERENCE.format(model=model or "pass", predict=predict or "pass")


AGAIN = "its artefact, run again"
LACKS = "its stored predictions lack 78 of the patients (20 patients in common, and it takes 30"


def test_the_champion_answers_all_of_a_new_test_by_its_own_code(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SECRET", "of the job")
    model = packed(asked.store, inference())
    register(asked, evaluation(2.0, patients=20, version=model), model=model, archive=ARCHIVE)
    found = compare(tmp_path, msi_candidate(asked.store), champion="noninferior")
    assert (found.passed, found.answered_by, found.answered) == (True, AGAIN, PATIENTS)
    assert (found.comparison.n, found.difference.difference, found.comparison.learning_unknown) == (PATIENTS, 0, ["version 1"])
    assert "version 1 answered 98 of the 98 patients, by its artefact, run again" in capsys.readouterr().out


def test_an_artefact_that_refuses_is_a_warning_and_no_pass_where_proof_is_asked_for(asked, tmp_path):
    model = packed(asked.store, inference(predict=REFUSES))
    register(asked, evaluation(2.0, patients=20, version=model), model=model, archive=ARCHIVE)
    candidate = msi_candidate(asked.store)
    found = compare(tmp_path, candidate)
    assert found.passed and found.warnings[0].startswith(f"not comparable with version 1: {LACKS}")
    assert (found.answered_by, found.answered) == (None, None)
    refused = compare(tmp_path, candidate, champion="noninferior")
    assert not refused.passed and refused.message.endswith("extract them with those; champion noninferior asks for a comparison")


def test_stored_predictions_of_all_items_need_no_artefact(store):
    found = compared(store, approved(store, "aaaaaaaaaaaa", patients=PATIENTS), msi_candidate(store))
    assert (found.by, found.items, found.warnings) == ("stored predictions", PATIENTS, ())


def test_what_the_champion_was_trained_on_is_left_out_by_the_list_in_its_artefact(store):
    patients = [Item(name, ids={"patients": (name,)}) for name in ("P003", "P090")]
    model = packed(store, inference(), learned=LearnedFrom.of(patients, {}))
    found = compared(store, approved(store, model), msi_candidate(store)).comparison
    assert (found.n, found.left_out.learned_by_second, found.learning_unknown) == (PATIENTS - 2, 2, [])


REFUSES = "raise DataError('slide S000: its features were made with settings 1 and must be made with 2: extract them with those')"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (inference(predict=REFUSES), "slide S000: its features were made with settings 1 and must be made with 2"),
        (
            inference(model="raise DataError('fold-0.safetensors is not the one that was trained')"),
            "fold-0.safetensors is not the one",
        ),
        (
            inference(predict="os.kill(os.getpid(), signal.SIGKILL)"),
            "the process that ran version 1's artefact was killed, as for want of memory: give compare.resources more memory",
        ),
        (inference(model="sys.exit(7)"), "the process that ran version 1's artefact ended: what a model prints is no answer"),
        (inference(predict="return 'none'"), "version 1's artefact answers P000 in a form that this code does not read"),
        (inference(model="import nothing_there"), "ended: ModuleNotFoundError: No module named 'nothing_there'"),
        ("def model_fn(:", "ended: SyntaxError: "),
    ],
    ids=["other settings", "damaged weights", "killed", "ends", "another answer", "library gone", "damaged code"],
)
def test_an_artefact_that_does_not_answer_is_not_comparable_with_the_reason(store, made, reason):
    found = compared(store, approved(store, packed(store, made)), msi_candidate(store))
    assert (found.comparison.comparable, found.by, found.items) == (False, None, None)
    assert found.comparison.reason.startswith(LACKS) and reason in found.comparison.reason and "\n" not in found.comparison.reason


def gone(uri):
    return lambda store: Uri.parse(uri).under(store.root).unlink()


def changed(uri, content):
    return lambda store: store.write(Uri.parse(uri), content)


def cut(store):
    path = Uri.parse(ARCHIVE).under(store.root)
    path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (gone(ARCHIVE), f"{ARCHIVE}: there is no such object"),
        (cut, f"{ARCHIVE}: the artefact is damaged (model.tar.gz cannot be unpacked"),
        (lambda store: packed(store, inference(), hidden_size=3), "and version 1 is"),
        (lambda store: packed(store, inference(), task="mhist"), "the artefact is of the task mhist, not msi"),
        (lambda store: packed(store, inference(), threshold=2), f"{ARCHIVE}: the artefact's config.json: threshold: "),
        (lambda store: packed(store, inference(), labels=["MSS", "dMMR"]), "the other MSS, dMMR"),
        (gone(SLIDES), f"{SLIDES}: there is no such object"),
        (changed(SLIDES, b"slide_id\n"), f"{SLIDES}: is another than the candidate's evaluation read"),
        (gone("s3://local/features/S004.h5"), "slide S004: its feature file is gone"),
    ],
    ids=[
        "gone",
        "cut",
        "another model",
        "another task",
        "no threshold",
        "classes",
        "slides gone",
        "slides changed",
        "features gone",
    ],
)
def test_what_it_takes_to_ask_again_that_is_gone_or_changed_is_said(store, damage, reason):
    model, candidate = packed(store, inference()), msi_candidate(store)
    champion = approved(store, model)
    damage(store)
    if reason.startswith("the other"):
        champion = replace(champion, described={**champion.described, "CustomerMetadataProperties": {}})
    assert reason in compared(store, champion, candidate).comparison.reason


def test_a_process_that_takes_too_long_is_ended(store):
    champion = approved(store, packed(store, inference(model="time.sleep(3600)")))
    reason = compared(store, champion, msi_candidate(store), seconds=0.3).comparison.reason
    assert "took more than 0.005 minutes: give compare.resources a faster instance or more max-runtime-minutes" in reason


def test_with_enough_stored_predictions_a_broken_artefact_is_no_way_round_the_gate(store):
    found = compared(store, approved(store, "aaaaaaaaaaaa", patients=90), msi_candidate(store))
    assert (found.comparison.n, found.by, found.items) == (90, "stored predictions", 90)
    (warning,) = found.warnings
    assert warning.startswith(
        "compared with version 1 on a part of the test, by its stored predictions: its stored predictions lack 8 of"
    )


def test_not_being_allowed_to_read_the_artefact_is_an_error(store, monkeypatch):
    def denied(self, uri, path):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    champion = approved(store, packed(store, inference()))
    monkeypatch.setattr(FolderStore, "fetch", denied)
    with pytest.raises(NotAnsweredError, match=r"model.tar.gz: the job's role lacks the permission s3:GetObject"):
        compared(store, champion, msi_candidate(store))


def test_a_full_disk_is_said_and_what_to_do(store, monkeypatch):
    def full(self, uri, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    champion = approved(store, packed(store, inference()))
    monkeypatch.setattr(FolderStore, "fetch", full)
    assert "give compare.resources more volume-gb" in compared(store, champion, msi_candidate(store)).comparison.reason


def test_of_two_that_are_approved_the_latest_version_is_the_champion(asked, tmp_path):
    first = register(asked, GOOD, approve=False)
    register(asked, GOOD, name="later")
    asked.client.update_model_package(
        ModelPackageArn=first, ModelApprovalStatus="Approved", ApprovalDescription="after the second"
    )
    assert compare(tmp_path, GOOD).champion == "version 2"


def patches_of(store):
    """A candidate of mhist, whose patches' files hold its probabilities in place of pixels."""
    rows = []
    for row in csv.DictReader(io.StringIO(GOOD["predictions.csv"].decode())):
        content = row["probability"].encode()
        store.write(Uri.parse(f"s3://local/images/{row['image']}"), content)
        about = {"image": row["image"], "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "votes": None}
        rows.append(MhistPatchRow.model_validate({**about, "label": row["label"], "split": "test"}))
    table = MhistPatchRow.table(rows)
    store.write(Uri.parse("s3://local/patches.csv"), table)
    uris = {"patches": "s3://local/patches.csv", "images": "s3://local/images"}
    return evaluation(2.0, task="mhist", uris={"data": {"patches_sha256": hashlib.sha256(table).hexdigest()}, "data_uris": uris})


def with_encoder(store, manifest=ENCODER):
    store.write(Uri.parse("s3://local/encoders/tiny/encoder.json"), manifest.to_json())
    store.write(Uri.parse("s3://local/encoders/tiny/weights"), b"w")


def patches_compared(store, uri, damage=lambda store: None):
    champion = approved(store, packed(store, PATCHES, task="mhist"), task="mhist", **uri)
    candidate = patches_of(store)
    damage(store)
    return compared(store, champion, candidate, mhist.COMPARABLE, patch_asking(MhistPatchRow))


@pytest.mark.parametrize("uri", ["s3://local/encoders/tiny/", "s3://local/encoders"])
def test_patches_are_asked_together_with_the_encoder_that_the_version_names(store, uri):
    with_encoder(store)
    found = patches_compared(store, {"encoder_uri": uri})
    assert (found.by, found.items, found.comparison.scores["auroc"].difference) == (AGAIN, PATIENTS, 0)


def test_a_version_that_names_no_encoder_says_so(store):
    assert "version 1 does not say where its encoder tiny lies" in patches_compared(store, {}).comparison.reason


OTHER_ENCODER = ENCODER.model_copy(update={"sha256": "d" * 64})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (gone("s3://local/encoders/tiny/encoder.json"), "s3://local/encoders/tiny: the encoder tiny of version 1 is gone"),
        (
            lambda store: with_encoder(store, OTHER_ENCODER),
            "s3://local/encoders/tiny: holds another encoder by now than tiny (sha256 eeeeeeeeeeee…), which version 1 was trained on",
        ),
        (gone("s3://local/encoders/tiny/weights"), "ended: FileNotFoundError: "),
        (gone("s3://local/images/i7.png"), "patch i7.png: its file is gone"),
        (changed("s3://local/images/i7.png", b"0.5"), "is not the file that was prepared"),
    ],
    ids=["encoder gone", "another encoder", "checkpoint gone", "patch gone", "patch changed"],
)
def test_an_encoder_or_a_patch_that_is_gone_or_another_is_said(store, damage, reason):
    with_encoder(store)
    found = patches_compared(store, {"encoder_uri": "s3://local/encoders/tiny/"}, damage)
    assert reason in found.comparison.reason and not found.comparison.comparable
