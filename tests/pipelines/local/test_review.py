"""The page on all of a task's versions, in an account of this machine whose versions were made without a run."""

import json
import re

import pytest
from pathology.contracts.uris import Uri

from tests.chromium import PROGRAM, browser
from tests.pathology.pages import Page, check_in_browser
from tests.pipelines import registry

TASK = ("--task", "msi")


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)


@pytest.fixture
def made(account, here):
    """Three versions: the first approved, the second rejected, the evaluation of the third gone."""
    for auroc in (0.871, 0.912, 0.93):
        registry.add(account.client, account.store, "local", auroc=auroc)
    assert here("approve", "1", *TASK, "--note", "read by <two>").code == 0
    assert here("reject", "2", *TASK, "--note", "site A7 was mislabelled").code == 0
    Uri("s3", "local", f"runs/{registry.GROUP}/execution003/EvaluateMsi/evaluation/evaluation.json").under(account.root).unlink()


@pytest.fixture
def page(here, tmp_path):
    """``page()``: the file that the verb writes."""

    def make():
        path = tmp_path / "page.html"
        done = here("review", *TASK, "--html", str(path))
        assert (done.code, done.out.splitlines()[-1]) == (0, f"page: {path}"), done.err
        return path

    return make


def test_it_has_every_version_with_its_score_and_decision(account, made, page):
    source = page().read_text()
    seen = Page(source)
    rows = re.findall(r'<tr data-status="(\w+)">(.*?)</tr>', source)
    cells = [(status, [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td[^>]*>(.*?)</td>", row)]) for status, row in rows]
    assert [(status, row[0], row[2], row[3]) for status, row in cells] == [
        ("Pending", "3", "–", "–"),
        ("Rejected", "2", "0.912", "0.852–0.962"),
        ("Approved", "1", "0.871", "0.811–0.921"),
    ]
    assert cells[2][1][-1] == "read by &lt;two&gt;"
    assert "site A7 was mislabelled" in seen.text and "AUROC at least 0.8" in seen.text
    assert "No scores: " in seen.text
    assert source.count("<circle ") == 2 and source.count('class="dot approved"') == 1
    assert [link for link in seen.references if link.startswith("#")] == ["#version-3", "#version-2", "#version-1"]
    reports = [link for link in seen.references if link.startswith("file:")]
    assert len(reports) == 3 and all(link.endswith("report.html") for link in reports)
    assert "http://" not in source and "https://" not in source


def test_without_versions_it_says_so_and_scripts_are_told_the_file(here, page, tmp_path, monkeypatch):
    assert "There is no version yet." in Page(page().read_text()).text
    monkeypatch.chdir(tmp_path)
    done = here("review", *TASK, "--json")
    assert (done.code, json.loads(done.out)) == (0, {"page": str(tmp_path / "review-msi.html"), "versions": []})
    assert (tmp_path / "review-msi.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--task", "nothing"), "there is no task 'nothing'"),
        (("--task", "mhist"), "has no model package group pathology-mhist: python -m pipelines.upsert"),
        ((*TASK, "--html", "{folder}"), "is a directory"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(here, tmp_path, arguments, words):
    done = here("review", *(word.format(folder=tmp_path) for word in arguments))
    assert (done.code, words in done.err.splitlines()[-1], done.out) == (2, True, ""), done.err


@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")
def test_a_browser_sorts_and_filters_it_and_shows_a_report_of_its_style_with_the_block(account, made, page, here, tmp_path):
    with browser() as chromium:
        path = page()
        check_in_browser(chromium, path)
        chromium.open(path)
        shown = """
        ((words, status) => {
          const [search, choice] = document.querySelectorAll("form.filter input, form.filter select");
          search.value = words; search.dispatchEvent(new Event("input"));
          choice.value = status; choice.dispatchEvent(new Event("change"));
          const rows = [...document.querySelectorAll("table.filtered > tbody > tr")];
          return [rows.filter((row) => row.checkVisibility()).map((row) => row.cells[0].textContent).join(), document.querySelector("output").textContent];
        })
        """
        for words, status, expected in (
            ("", "", ["3,2,1", "3 of 3"]),
            ("A7 MISLABELLED", "", ["2", "1 of 3"]),
            ("", "Approved", ["1", "1 of 3"]),
            ("mislabelled", "Approved", ["", "0 of 3"]),
        ):
            assert chromium.run(f"({shown})({json.dumps(words)}, {json.dumps(status)})") == expected
        assert chromium.problems == []
        report = Uri("s3", "local", f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation/report.html")
        account.store.write(report, path.read_bytes())
        assert here("report", "1", *TASK, "--output", str(tmp_path / "report.html")).code == 0
        check_in_browser(chromium, tmp_path / "report.html")
        chromium.open(tmp_path / "report.html")
        assert chromium.run('document.querySelector("aside.of-version").nextElementSibling.tagName') == "MAIN"
        assert chromium.problems == []
