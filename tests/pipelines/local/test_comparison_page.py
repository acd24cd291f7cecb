"""The page on two models, of every task: what it shows, and how a browser shows it."""

import base64
import hashlib
import json
import re
import zlib
from itertools import pairwise

import pytest
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.mhist.evaluate import MhistPredictionRow
from pathology.contracts.uris import Uri

from pipelines.pages.pictures import pixels_alone
from tests.chromium import PROGRAM, browser
from tests.pathology.nuclear_scores import row
from tests.pathology.pages import CUT, Page, check_in_browser
from tests.pipelines import registry

PATIENTS = registry.tested_patients()
RANGE = {"value": 0.8, "low": 0.7, "high": 0.9}


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(grey, said=b""):
    """8 by 8 px of one grey, and what its file says besides."""
    header = chunk(b"IHDR", b"\0\0\0\x08\0\0\0\x08\x08\0\0\0\0")
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + bytes([grey]) * 8) * 8))
    return b"\x89PNG\r\n\x1a\n" + header + (chunk(b"tEXt", said) if said else b"") + pixels + chunk(b"IEND", b"")


def register(account, task, number, predictions, block):
    """A version of a task as its evaluation leaves it; what a comparison needs of it."""
    run = Uri("s3", "local", f"runs/pathology-{task}/execution{number:03}/Evaluate/evaluation")
    common = {
        "task": task,
        "confidence": 0.95,
        "intervals": {"auroc": RANGE},
        "seen": {"unit": "patches", "test_items": 40, "seen": 0, "names": []},
        "model": {"version": "v1", "config_sha256": "c", "archive_uri": "s3://local/a.tar.gz", **block.pop("model")},
    }
    account.store.write(run / "evaluation.json", json.dumps({"pathology": {**common, **block}}).encode())
    account.store.write(run / "predictions.csv", predictions)
    statistics = {"Statistics": {"ContentType": "application/json", "S3Uri": str(run / "evaluation.json")}}
    account.client.create_model_package(ModelPackageGroupName=f"pathology-{task}", ModelMetrics={"ModelQuality": statistics})


def mhist(account):
    """Two versions on 40 patches, whose files are there but for one; a file says who made it."""
    account.client.create_model_package_group(ModelPackageGroupName="pathology-mhist")
    prepared = Uri("s3", "local", "prepared/mhist/1")
    names = [f"MHIST_{chr(97 + k // 26)}{chr(97 + k % 26)}a.png" for k in range(40)]
    contents = {name: png(5 * k, b"Author\0somebody") for k, name in enumerate(names)}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    table = "image,sha256,bytes,label,split,group,votes\n" + "".join(
        f"{name},{hashes[name]},1,{k % 2},test,,\n" for k, name in enumerate(names)
    )
    account.store.write(prepared / "patches.csv", table.encode())
    for name in names:
        account.store.write(prepared / "images" / name, contents[name])
    for number, wrong in ((1, 0), (2, 6)):
        rows = [
            MhistPredictionRow(
                image=name,
                label=k % 2,
                probability=0.1 + 0.8 * ((k % 2) ^ (k < wrong)) - k / 1000,
                predicted=0,
                votes=None,
                group="",
            )
            for k, name in enumerate(names)
        ]
        facts = {
            "n": 40,
            "positives": 20,
            "threshold": 0.5,
            "data": {"patches_sha256": hashlib.sha256(table.encode()).hexdigest()},
            "data_uris": {"patches": str(prepared / "patches.csv"), "images": str(prepared / "images")},
            "model": {"labels": ["HP", "SSA"]},
        }
        register(account, "mhist", number, MhistPredictionRow.table(rows), facts)
    (prepared / "images" / names[0]).under(account.root).unlink()
    return contents


def lizard(account):
    """Two versions on 40 patches of 20 source images, with one class of nuclei."""
    account.client.create_model_package_group(ModelPackageGroupName="pathology-lizard")
    for number, missed in ((1, 1), (2, 4)):
        rows = []
        for k in range(40):
            tp, fn = 10 - missed + k % 3, missed
            pixels = {"pixels_both": 80 * tp, "pixels_true": 90 * 10, "pixels_predicted": 90 * tp}
            jaccard = {"aji_intersection": 70 * tp, "aji_union": 1000}
            for kind, more in (("round", {}), ("all", jaccard)):
                name, of = f"s{k % 20:02}-{k:04}", f"s{k % 20:02}"
                rows.append(
                    row(name, of, kind, tp, 1, fn, 0.75 * tp, (tp + fn, tp + 1), **pixels, **more, paired_6=tp, paired_12=tp)
                )
        facts = {"n": 40, "data": {"images_sha256": "1", "labels_sha256": "2"}, "model": {"classes": ["round"]}}
        register(account, "lizard", number, NucleiScoreRow.table(rows), facts)


def msi(account):
    """Two versions on 40 patients."""
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    for seed in (1, 2):
        tested = {"patients": PATIENTS, "probabilities": registry.answers(seed, PATIENTS)}
        registry.add(account.client, account.store, "local", tested=tested)


@pytest.fixture
def page(here, tmp_path):
    """``page("msi")``: the file that ``compare --html`` writes."""

    def make(task):
        path = tmp_path / f"{task}.html"
        done = here("compare", "--task", task, "1", "2", "--html", str(path))
        assert (done.code, done.out.splitlines()[-1]) == (0, f"page: {path}"), done.err
        return path

    return make


def test_the_page_of_classifiers_has_differences_curves_and_items_and_needs_nothing(account, page, here):
    msi(account)
    source = page("msi").read_text()
    seen = Page(source)
    assert (seen.references, seen.scripts) == ([], 1)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', source)[1]
    script = re.search(r"<script>(.*)</script>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ") and f"script-src 'sha256-{digest}'" in policy
    assert source.count('<circle class="dot"') == 4
    points = [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in re.findall(r'points="([^"]*)"', source)]
    assert [(line[0], line[-1]) for line in points] == [((0, 300), (300, 0))] * 2
    scores = json.loads(here("compare", "--task", "msi", "1", "2", "--json").out)["scores"]["auroc"]
    areas = [sum((b[0] - a[0]) * (600 - a[1] - b[1]) / 2 for a, b in pairwise(line)) / 300**2 for line in points]
    assert areas == pytest.approx([scores["first"], scores["second"]], abs=2e-3)
    assert "version 1, Pending, of execution execution001" in seen.text and "McNemar" in seen.text


def test_patches_are_shown_without_what_their_files_say_and_what_is_missing_is_said(account, page):
    contents = mhist(account)
    source = page("mhist").read_text()
    shown = [base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]*)"', source)]
    assert sorted(shown) == sorted(png(5 * k) for k in range(1, 6))  # the first six differ, and one file is gone
    assert not any(b"somebody" in picture for picture in shown) and b"somebody" in next(iter(contents.values()))
    assert "1 of 6 pictures cannot be shown: " in Page(source).text


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"GIF89a", "x: is no PNG"), (png(1)[:-13], "x: is a damaged PNG"), (b"\x89PNG\r\n\x1a\n", "x: is a damaged PNG")],
)
def test_what_is_no_whole_png_is_refused(content, words):
    with pytest.raises(Exception, match=words):
        pixels_alone(content, "x")


def test_nuclei_have_differences_by_class_and_no_curves(account, page):
    lizard(account)
    source = page("lizard").read_text()
    seen = Page(source)
    assert "bPQ" in seen.text and "ROC" not in seen.text and "right" not in seen.text.split("Items that differ most")[0].lower()
    assert "round" in seen.text.partition("by group")[2]
    assert "s00-0000" in seen.text


@pytest.mark.slow  # a second browser; the one on the page of all versions is quick
@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")
def test_a_browser_shows_all_of_it_on_a_phone_and_on_paper(account, page):
    for make in (msi, mhist, lizard):
        make(account)
    with browser() as chromium:
        check_in_browser(chromium, page("msi"))
        for task in ("mhist", "lizard"):
            chromium.open(page(task), width=390)
            assert (task, chromium.run(CUT), chromium.problems) == (task, [], [])
