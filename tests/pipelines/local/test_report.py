"""The report of a version, saved with what is known of it now, in an account of this machine whose versions were made without a run."""

import json
import sys
import webbrowser

import pytest
from pathology.contracts.uris import Uri

from tests.pathology.pages import Page
from tests.pipelines import registry

TASK = ("--task", "msi")
WRITTEN = b"<!doctype html>\n<html>\n<head><title>x</title></head>\n<body>\n<main>caf\xc3\xa9 <!-- <body> --></main>\n</body>\n</html>\n"


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch, tmp_path):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)


@pytest.fixture
def written(account):
    """The file of the first version's report."""
    registry.add(account.client, account.store, "local")
    uri = Uri("s3", "local", f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation/report.html")
    account.store.write(uri, WRITTEN)
    return uri.under(account.root)


def block_of(path):
    """What was added, without which the file is the report byte for byte."""
    content, start = path.read_bytes(), WRITTEN.index(b"<body>") + len(b"<body>")
    added = len(content) - len(WRITTEN)
    assert content[:start] + content[start + added :] == WRITTEN
    return content[start : start + added].decode()


def test_it_is_the_report_with_a_block_at_its_top(written, here, tmp_path):
    here("reject", "1", *TASK, "--note", 'read by <script>alert("two")</script> & a third')
    done = here("report", *TASK)
    assert (done.code, done.out.splitlines()[0]) == (0, "version 1 of pathology-msi: Rejected"), done.err
    assert done.out.splitlines()[-1] == "page: pathology-msi-version-1.html"
    block = block_of(tmp_path / "pathology-msi-version-1.html")
    assert "<script" not in block
    text = Page(block).text
    for words in (
        "model-package/pathology-msi/1",
        "Rejected (Review: Rejected)",
        'read by <script>alert("two")</script> & a third',
        "execution001",
        "AUROC at least 0.8",
        "The test set holds 15 positive",
        "code of serving: 5e4e",
        "its pipeline was deleted",
    ):
        assert words in text, text


def test_scripts_are_told_the_facts_and_a_page_is_replaced(written, here, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("an older one")
    done = here("report", "1", *TASK, "--output", str(path), "--json")
    found = json.loads(done.out)
    assert (done.code, found["page"], found["version"], found["version_status"]) == (0, str(path), 1, "PendingManualApproval")
    assert (found["report"], found["gate"], found["reused_by"]) == (str(written), ["AUROC at least 0.8"], [])
    assert found["decision"] is None
    assert block_of(path)


@pytest.mark.parametrize(
    ("arguments", "terminal", "opened"),
    [((), True, 1), ((), False, 0), (("--no-open",), True, 0), (("--json",), True, 0)],
)
def test_it_is_opened_where_somebody_looks(written, here, monkeypatch, tmp_path, arguments, terminal, opened):
    asked = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: asked.append(uri) or False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    done = here("report", *TASK, *arguments)
    assert (done.code, asked) == (0, [(tmp_path / "pathology-msi-version-1.html").as_uri()] * opened)
    assert ("no browser opened it" in done.out) == bool(opened)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a page", WRITTEN[:-20], b"<html><head></head></html>", b"\xff\xfe" * 40],
    ids=["empty", "text", "cut", "no body", "no text"],
)
def test_a_damaged_report_is_one_line_and_nothing_is_written(written, here, tmp_path, content):
    written.write_bytes(content)
    done = here("report", *TASK)
    assert (done.code, done.out) == (1, "")
    assert f"{written}: is damaged, no whole page" in done.err.splitlines()[-1]
    assert list(tmp_path.glob("*.html")) == []


def test_a_report_that_is_gone_and_a_version_without_one_are_one_line(account, written, here):
    written.unlink()
    done = here("report", *TASK)
    assert (done.code, f"{written}: the report of version 1 of pathology-msi is gone: " in done.err.splitlines()[-1]) == (1, True)
    account.client.create_model_package(ModelPackageGroupName=registry.GROUP)
    done = here("report", *TASK)
    assert (done.code, done.err.splitlines()[-1]) == (
        1,
        "error: version 2 of pathology-msi has no report: it names no evaluation",
    )


def test_a_report_is_shown_where_its_evaluation_is_gone(written, here, tmp_path):
    written.with_name("evaluation.json").unlink()
    done = here("report", *TASK)
    assert (done.code, "not looked at: " in done.out, "no such object" in done.out) == (0, True, True), done.err
    assert "no-evaluation" in Page(block_of(tmp_path / "pathology-msi-version-1.html")).text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("9",), "has no version 9 in pathology-msi: the latest is 1"),
        (("newest",), "'newest' is no version and no execution"),
        (("approved",), "has no approved version in pathology-msi"),
        (("abcdef012345",), "has no pipeline pathology-msi"),
        (("arn:aws:sagemaker:us-east-1:000000000000:pipeline/pathology-mhist/execution/abcdef012345",), "is an execution of"),
        (("1", "--output", "{folder}"), "is a directory"),
        (("1", "2"), "unexpected extra argument"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(written, here, tmp_path, arguments, words):
    done = here("report", *TASK, *(word.format(folder=tmp_path) for word in arguments))
    assert (done.code, words in done.err.splitlines()[-1], done.out) == (2, True, ""), done.err
