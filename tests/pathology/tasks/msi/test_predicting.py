"""A patient's row: what is said, when nothing is, and how it looks on the page."""

import pytest
from msi_jobs import slide_row
from pages import Page, check_in_browser
from pathology.contracts.errors import DataError
from pathology.contracts.msi.batch import Batch, Chosen, LeftOut, PatientSlide
from pathology.contracts.msi.predict import PatientRow, PredictMsi, Results
from pathology.tasks.msi.predicting import ask, patients_of
from pathology.tasks.msi.predictions import render

LABELS = ("MSS", "MSI-H")
LIMITS = PredictMsi(min_tiles=10, max_failed_tiles=0.2, max_fold_std=0.2)


class Model:
    """Answers as told, or fails as often as told."""

    def __init__(self, failures=(), probability=0.7, std=0.1, pooled=20, found=20, failed=0, label="MSI-H"):
        self.failures = list(failures)
        tiles = {"pooled": pooled, "with_tissue": found, "failed": failed}
        self.said = {"probability": probability, "fold_std": std, "label": label, "tiles": tiles}

    def answer(self, patient, *, attention):
        if self.failures:
            raise DataError(self.failures.pop(0))
        return self.said, b"{}" if attention else None


def patient(*states, faults=()):
    slides = [PatientSlide(slide_id=row.slide_id, patient_id="P", patient_by="table", slide_uri="s3://b/x.svs") for row in states]
    slides += [
        PatientSlide(slide_id=name, patient_id="P", patient_by="table", slide_uri="s3://b/x", fault="cut") for name in faults
    ]
    (found,) = patients_of(slides, list(states))
    return found


OK = slide_row("a")


def test_a_patient_is_predicted_from_the_slides_that_there_are_and_the_others_are_named():
    found = patient(OK, slide_row("b", "failed"), slide_row("c", "empty"), faults=["d"])
    result, attention = ask(Model(), found, LIMITS, LABELS)
    assert (result.status, result.label, result.probability, attention) == ("predicted", "MSI-H", 0.7, b"{}")
    assert result.reason == "d is not in it: cut; b is not in it: planted; without tissue: c"
    row = PatientRow.of(result, 0.4)
    assert (row.slides, row.label, row.threshold, row.status) == (4, "MSI-H", 0.4, "predicted")


@pytest.mark.parametrize(
    ("model", "about", "value", "limit"),
    [
        ({"pooled": 9, "found": 9}, "min-tiles", 9, 10),
        ({"pooled": 15, "found": 20, "failed": 5}, "max-failed-tiles", 0.25, 0.2),
        ({"std": 0.21}, "max-fold-std", 0.21, 0.2),
    ],
)
def test_past_a_limit_nothing_is_said_and_the_number_stands_beside_it(model, about, value, limit):
    result, _ = ask(Model(**model), patient(OK), LIMITS, LABELS)
    (doubt,) = result.doubts
    assert (result.status, result.label, result.probability) == ("cannot say", None, 0.7)
    assert (doubt.about, doubt.value, doubt.limit) == (about, value, limit)


def test_at_a_limit_it_is_still_said():
    result, _ = ask(Model(pooled=10, found=10, failed=2, std=0.2), patient(OK), LIMITS, LABELS)
    assert (result.status, result.doubts) == ("predicted", [])


def test_a_scale_that_is_a_default_is_a_doubt():
    guessed = slide_row("b").model_copy(update={"mpp_source": "default"})
    result, _ = ask(Model(), patient(OK, guessed), LIMITS, LABELS)
    assert [(doubt.about, doubt.value) for doubt in result.doubts] == [("max-default-mpp", 0.5)]
    half = LIMITS.model_copy(update={"max_default_mpp": 0.5})
    assert ask(Model(), patient(OK, guessed), half, LABELS)[0].status == "predicted"


def test_without_features_the_model_is_not_asked():
    never = Model(["asked"])
    assert ask(never, patient(slide_row("a", "empty")), LIMITS, LABELS)[0].status == "cannot say"
    assert ask(never, patient(slide_row("a", "failed")), LIMITS, LABELS)[0].status == "failed"
    assert ask(never, patient(faults=["a"]), LIMITS, LABELS)[0].reason == "a is not in it: cut"
    assert never.failures == ["asked"]


def test_a_failure_is_the_patients_row_and_attention_alone_costs_no_answer():
    without, attention = ask(Model(["no tiles' size"]), patient(OK), LIMITS, LABELS)
    assert (without.status, attention) == ("predicted", None)
    assert without.reason == "no attention was written (no tiles' size)"
    failed, _ = ask(Model(["once", "it is\ngone"]), patient(OK), LIMITS, LABELS)
    assert (failed.status, failed.label, failed.reason) == ("failed", None, "it is gone")
    other, _ = ask(Model(label="dMMR"), patient(OK), LIMITS, LABELS)
    assert (other.status, "not one of its labels" in other.reason) == ("failed", True)


def test_a_slide_that_was_not_collected_is_an_error():
    slide = PatientSlide(slide_id="a", patient_id="P", patient_by="slide", slide_uri="s3://b/a.svs")
    with pytest.raises(DataError, match="slide a is in the batch and not in slides.csv"):
        patients_of([slide], [])


def test_the_page_shows_every_row_and_asks_for_nothing_outside(tmp_path, chromium):
    said, _ = ask(Model(), patient(OK), LIMITS, LABELS)
    doubted, _ = ask(Model(pooled=1, found=1), patient(OK), LIMITS, LABELS)
    failed, _ = ask(Model(["x", "a <b>bold</b> fault"]), patient(OK), LIMITS, LABELS)
    rows = [one.model_copy(update={"patient_id": f"P{number}"}) for number, one in enumerate((said, doubted, failed))]
    chosen = dict.fromkeys(Chosen.model_fields, "x") | {"archive_sha256": "a" * 64, "encoder_sha256": "b" * 64}
    chosen |= {
        "archive_proven": False,
        "encoder_placeholder": True,
        "labels": LABELS,
        "threshold": 0.4,
        "settings": {"mpp": "0.5"},
    }
    batch = Batch(
        slides_uri="s3://b/slides",
        patients_uri=None,
        slides=3,
        patients=3,
        patient_by={"slide": 3},
        left_out=[LeftOut(name="b.czi", reason="not read")],
        warnings=[],
    )
    results = Results(
        model=Chosen(**chosen),
        limits=LIMITS,
        data={"slides_sha256": "c" * 64},
        batch=batch,
        counts={"predicted": 1, "cannot say": 1, "failed": 1},
        slides_with_features=3,
        patients=rows,
        warnings=["a warning"],
    )
    source = render(results)
    page = Page(source)
    assert page.references == []
    assert "3 patients, 3 slides: 1 predicted, 1 cannot say, 1 failed" in page.text
    assert "too little tissue: 1 tiles, at least 10 are asked for" in page.text
    assert "a <b>bold</b> fault" in page.text
    assert Results.from_json(results.to_json(), "results.json") == results
    path = tmp_path / "report.html"
    path.write_text(source)
    check_in_browser(chromium, path)
