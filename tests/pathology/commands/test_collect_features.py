"""Collection: slides.csv and staging.csv in folders named by their content, or one line that names what is wrong."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from extraction_jobs import FEATURES, Jobs, finish
from msi_jobs import slide_row
from pathology.commands.collect_features import check_enough
from pathology.contracts.cohort import SlideRow
from pathology.contracts.errors import DataError
from pathology.contracts.features import Sidecar
from pathology.contracts.staging import StagingRow, read_staging
from pathology.contracts.uris import Uri
from pathology.wsi.features import write_features


def content_of(slide_id):
    """What stands for the hash of a slide's features here: each slide has its own."""
    return hashlib.sha256(slide_id.encode()).hexdigest()


def finish_slide(jobs, row, *, status="ok", reason="", warnings=()):
    """What an extraction leaves of a slide."""
    target = jobs.features / f"{row.slide_id}.h5"
    digest = write_features(target, np.ones((3, 48)), np.zeros((3, 2)), np.ones(3)) if status == "ok" else ""
    sidecar = Sidecar(
        slide_id=row.slide_id, status=status, reason=reason, settings_hash=jobs.features.name, slide_uri=row.slide_uri,
        bytes=row.bytes, md5=row.md5, etag=jobs.mark(row), cohort_mpp=row.mpp, mpp=0.5, mpp_source="vendor", sha256=digest, reader="openslide",
        content_sha256=content_of(row.slide_id) if status == "ok" else "",
        tiles=3 if status == "ok" else 0, failed_tiles=0, seconds=1.5, warnings=warnings,
    )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".json").write_bytes(sidecar.to_json())


@pytest.fixture
def jobs(tmp_path):
    """Twelve finished slides, three of each class on each side of the split."""
    slide = tmp_path / "any.svs"
    slide.write_bytes(b"slide")
    with Jobs(tmp_path) as made:
        for number in range(12):
            made.add(slide, f"s{number:02}")
            finish_slide(made, made.cohort[-1])
        yield made


def test_the_table_lies_where_its_content_says_and_collected_json_names_it(jobs):
    finish_slide(jobs, jobs.cohort[5], status="failed", reason="no scale")
    root = jobs.layout_collection(max_left_out_fraction=0.1)
    code, output, errors = finish(jobs.start(root, "-m", "pathology.commands.collect_features"))
    assert code == 0, errors
    collected = json.loads((root / "processing/output/slides" / "collected.json").read_text())
    slides = collected["slides"]
    assert (slides["ok"], slides["empty"], slides["failed"]) == (11, 0, 1)
    assert collected["settings_hash"] == jobs.features.name
    table = Uri.parse(slides["uri"]).under(jobs.uris) / "slides.csv"
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert slides["sha256"] == digest
    assert slides["uri"] == f"{FEATURES}/{jobs.features.name}/cohorts/{digest[:16]}/"
    rows = SlideRow.read(table)
    assert [row.slide_id for row in rows] == [row.slide_id for row in jobs.cohort]
    assert rows[0].features == f"{FEATURES}/{jobs.features.name}/s00.h5"
    assert rows[0].sha256 == hashlib.sha256((jobs.features / "s00.h5").read_bytes()).hexdigest()
    assert rows[0].content_sha256 == content_of("s00")
    failed = rows[5]
    assert (failed.status, failed.reason) == ("failed", "no scale")
    assert (failed.features, failed.sha256, failed.content_sha256) == ("", "", "")
    assert "12 slides: 11 ok, 0 empty, 1 failed; 33 tiles" in output
    assert jobs.collect("collect-2", max_left_out_fraction=0.1)[0] == 0
    again = jobs.root("collect-2") / "processing/output/slides"
    assert json.loads((again / "collected.json").read_text()) == collected


def test_what_training_reads_is_listed_for_staging_in_the_cohorts_order(jobs):
    finish_slide(jobs, jobs.cohort[5], status="failed", reason="no scale")
    finish_slide(jobs, jobs.cohort[0], status="empty", reason="no tissue")
    jobs.cohort.reverse()
    code, _, errors = jobs.collect(max_left_out_fraction=0.2)
    assert code == 0, errors
    staging = json.loads((jobs.root("collect-1") / "processing/output/slides/collected.json").read_text())["staging"]
    path = Uri.parse(staging["uri"]).under(jobs.uris) / "staging.csv"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert staging == {"uri": f"{FEATURES}/{jobs.features.name}/cohorts/{digest[:16]}/", "sha256": digest}
    files = {f"s{number:02}": jobs.features / f"s{number:02}.h5" for number in reversed(range(12)) if number not in {0, 5}}
    assert read_staging(path) == [
        StagingRow(
            uri=f"{FEATURES}/{jobs.features.name}/{slide_id}.h5",
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            target=f"{jobs.features.name}/{slide_id}.h5",
        )
        for slide_id, file in files.items()
    ]
    assert all(file == jobs.features.parent / row.target for file, row in zip(files.values(), read_staging(path), strict=True))


def rewrite(jobs, slide_id, **changes):
    """A sidecar with something else in it."""
    path = jobs.features / f"{slide_id}.json"
    path.write_bytes(Sidecar.from_json(path.read_bytes(), slide_id).model_copy(update=changes).to_json())


def collected_warnings(jobs, name):
    code, output, errors = jobs.collect(name, max_left_out_fraction=0.2)
    assert code == 0, errors
    warnings = json.loads((jobs.root(name) / "processing/output/slides/collected.json").read_text())["warnings"]
    assert all(f"warning: {warning}" in output for warning in warnings)
    return warnings


@pytest.mark.parametrize("mpp, spread", [(0.23, False), (0.098, True), (1.27, True), (0.2, True)])
def test_scales_that_spread_are_said_with_the_slides_at_both_ends(jobs, mpp, spread):
    rewrite(jobs, "s07", mpp=mpp)
    said = [line for line in collected_warnings(jobs, "collect-1") if "scales run from" in line]
    assert len(said) == spread
    if spread:
        assert f"{mpp:g} µm/px (s07, vendor)" in said[0] and "0.5 in the middle" in said[0] and "column 'mpp'" in said[0]


def test_what_was_noticed_of_slides_is_in_the_table_and_on_screen(jobs):
    for number in range(7):
        rewrite(jobs, f"s{number:02}", warnings=("level 3 is not read", "it is padded"))
    lines = [line for line in collected_warnings(jobs, "collect-1") if "slide" in line]
    assert lines[0] == "slide s00: level 3 is not read; it is padded" and "2 more slides have warnings" in lines[5]
    (table,) = jobs.features.glob("cohorts/*/slides.csv")
    assert [row.warnings for row in SlideRow.read(table)] == ["level 3 is not read; it is padded"] * 7 + [""] * 5


def test_the_list_for_staging_moves_with_what_it_holds_alone(jobs):
    def uris(name):
        assert jobs.collect(name)[0] == 0
        collected = json.loads((jobs.root(name) / "processing/output/slides/collected.json").read_text())
        return collected["slides"]["uri"], collected["staging"]["uri"]

    before = uris("collect-1")
    path = jobs.features / "s03.json"
    path.write_bytes(Sidecar.from_json(path.read_bytes(), "s03").model_copy(update={"seconds": 9.0, "reader": "tiff"}).to_json())
    slower = uris("collect-2")
    assert slower == before  # neither a clock nor the reader decides what is trained
    path = jobs.features / "s04.h5"
    digest = write_features(path, np.zeros((3, 48)), np.zeros((3, 2)), np.ones(3))
    sidecar = Sidecar.from_json(path.with_suffix(".json").read_bytes(), "s04").model_copy(update={"sha256": digest})
    path.with_suffix(".json").write_bytes(sidecar.to_json())
    assert uris("collect-3")[1] != before[1]


@pytest.mark.parametrize("settings_hash", ["", "..", "a/b", "../0123456789abcdef"])
def test_a_settings_hash_that_could_name_another_folder_is_refused(settings_hash):
    row = SlideRow(
        slide_id="s1", status="ok", reason="", features="", sha256="", content_sha256="", settings_hash=settings_hash, mpp=None, mpp_source="",
        tiles=None, failed_tiles=None,
    )  # fmt: skip
    with pytest.raises(DataError, match=f"slide s1: '{settings_hash}' is not a settings hash: collect the features again"):
        _ = row.feature_file
    assert row.model_copy(update={"settings_hash": "0123456789abcdef"}).feature_file == "0123456789abcdef/s1.h5"


def test_a_file_that_is_gone_or_changed_is_named_with_the_remedy(jobs):
    (jobs.features / "s03.h5").unlink()
    code, _, errors = jobs.collect()
    assert code == 1
    assert "s03 (its feature file is gone)" in errors and "--param ExtractionRun=" in errors
    assert not list(jobs.top.rglob("collected.json"))
    path = jobs.features / "s04.h5"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert "s04 (its feature file is changed)" in jobs.collect("collect-2")[2]


@pytest.mark.parametrize("change", [{"mpp": 0.25}, {"bytes": 6}, {"md5": "a" * 32}, {"mask_sha256": "a" * 64}])
def test_a_sidecar_of_another_slide_or_scale_does_not_count(jobs, change):
    jobs.cohort[2] = jobs.cohort[2].model_copy(update=change)
    code, _, errors = jobs.collect()
    assert code == 1 and "1 of 12 slides: s02 (not extracted)" in errors


def test_what_was_noticed_of_slides_is_said_on_screen_in_the_table_and_handed_on(jobs):
    for row in jobs.cohort[:7]:
        finish_slide(jobs, row, warnings=("97.0% of it is tissue",))
    code, output, _ = jobs.collect()
    assert code == 0 and "warning: slide s00: 97.0% of it is tissue" in output
    collected = json.loads(next(jobs.top.rglob("collected.json")).read_text())
    assert len(collected["warnings"]) == 6 and collected["warnings"][-1] == "2 more slides have warnings: slides.csv has them"
    rows = SlideRow.read(Uri.parse(collected["slides"]["uri"]).under(jobs.uris) / "slides.csv")
    assert [bool(row.warnings) for row in rows] == [True] * 7 + [False] * 5


def test_many_missing_slides_are_counted_after_five(jobs):
    for path in sorted(jobs.features.glob("*.json"))[:7]:
        path.unlink()
    errors = jobs.collect()[2]
    assert "7 of 12 slides: s00 (not extracted)" in errors and "s04" in errors
    assert "s05" not in errors and "and 2 more" in errors


def test_too_many_failures_fail_with_their_share_and_first_reason(jobs):
    for row in jobs.cohort[3:5]:
        finish_slide(jobs, row, status="failed", reason="truncated at byte 7")
    code, _, errors = jobs.collect()
    assert code == 1
    assert (
        "2 of 12 slides are lost (17%, at most 5% may be): 2 failed (s03: truncated at byte 7, s04: truncated at byte 7)"
        in errors
    )
    assert jobs.collect("collect-2", max_left_out_fraction=0.2)[0] == 0


def test_nothing_left_or_a_class_without_slides_fails(jobs):
    for row in jobs.cohort:
        if (row.split, row.label) == ("test", 1):
            finish_slide(jobs, row, status="empty", reason="no tissue")
    code, _, errors = jobs.collect(max_left_out_fraction=1)
    assert code == 1 and "no test slide with label 1 has features (3 in the cohort)" in errors
    for row in jobs.cohort:
        finish_slide(jobs, row, status="empty", reason="no tissue")
    code, _, errors = jobs.collect("collect-2")
    assert code == 1 and "none of 12 slides has features; the first is s00: no tissue" in errors


def test_the_flow_ends_with_what_has_tissue(jobs):
    finish_slide(jobs, jobs.cohort[0], status="empty", reason="no tissue")
    finish_slide(jobs, jobs.cohort[5], status="failed", reason="no scale")
    code, output, errors = jobs.collect(max_left_out_fraction=0.2)
    assert code == 0, errors
    flow = json.loads((jobs.root("collect-1") / "processing/output/slides/collected.json").read_text())["flow"]
    assert [(step["name"], step["slides"]) for step in flow["steps"]] == [("labelled", 12), ("with tissue", 10)]
    assert [(loss["reason"], loss["names"], loss["unexpected"]) for loss in flow["steps"][1]["lost"]] == [
        ("failed", ["s05: no scale"], True),
        ("without tissue", ["s00: no tissue"], True),
    ]
    assert sum(side["slides"] for side in flow["sides"].values()) == 10
    assert "−     1 failed: s05: no scale  !" in output and "with tissue       10 slides, 10 patients" in output


@pytest.mark.parametrize(("other", "message"), [(1, "differ in label"), (2, "differ in split or fold"), (4, "")])
def test_a_slide_that_has_anothers_features(jobs, other, message):
    for number in (0, other):
        path = jobs.features / f"s{number:02}.json"
        sidecar = Sidecar.from_json(path.read_bytes(), path.name).model_copy(update={"content_sha256": "c" * 64})
        path.write_bytes(sidecar.to_json())
    code, output, errors = jobs.collect()
    if message:
        assert code == 1 and f"slides s00 (patient P0) and s{other:02} (patient P{other}) have the same features" in errors
        assert message in errors
    else:
        assert code == 0 and "warning: s04 has the features of s00: it is the same slide and counts twice" in output


def test_a_sidecar_that_is_not_one_is_named(jobs):
    (jobs.features / "s01.json").write_text("{}")
    code, _, errors = jobs.collect()
    assert code == 1 and "s01.json" in errors


def test_collecting_needs_neither_torch_nor_hdf5():
    script = "import sys, pathology.commands.collect_features; print({'torch', 'h5py', 'timm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_batch_without_labels_may_lose_a_fraction_and_slides_without_tissue_are_no_failures():
    slides = [slide_row("a"), slide_row("b", "failed"), slide_row("c", "empty"), slide_row("d", "empty")]
    check_enough(slides, 0.25)
    with pytest.raises(
        DataError, match=r"1 of 4 slides failed \(25%, at most 20% may be\): b \(planted\): correct them, or raise"
    ):
        check_enough(slides, 0.2)
