"""What pages take from the code: docs/settings.md, README.md's pictures and verbs, THIRD_PARTY_LICENSES.md's tables."""

import re
from typing import Literal

import pytest
from pathology.contracts.settings import Names, OptionalMpp, OptionalName, Seed, Settings, setting

from docs.marks import refresh as refresh_page
from docs.marks import replaced
from docs.settings import settings, value_of
from pipelines.tasks import NAMES, TRAIN, task_spec
from pipelines.tasks.sections import Data, OptionalData, Place
from tests.docs.reading import ROOT

PAGE = "# Title\n<!-- a: how -->\nold\n<!-- /a -->\nbetween\n<!-- b: how -->\n<!-- /b -->\nend\n"


def test_parts_are_replaced_between_their_marks():
    new = replaced(PAGE, {"a": "\\1 | <x>\n", "b": "two\nlines\n"})
    assert new == ("# Title\n<!-- a: how -->\n\\1 | <x>\n<!-- /a -->\nbetween\n<!-- b: how -->\ntwo\nlines\n<!-- /b -->\nend\n")
    assert replaced(new, {"a": "\\1 | <x>\n"}) == new


@pytest.mark.parametrize("text", ["", "<!-- a: how -->\n", "<!-- /a -->\n", PAGE + PAGE])
def test_a_part_belongs_to_one_place(text):
    with pytest.raises(ValueError, match="<!-- a: … --> and <!-- /a --> once"):
        replaced(text, {"a": "new\n"})


def test_a_stale_page_is_written_or_said_to_be_stale(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setattr("sys.argv", ["refresh", "--check"])
    assert refresh_page(page, {"a": "new\n"}, "make docs") == 1
    assert (page.read_text(), capsys.readouterr().out) == (PAGE, "page.md is stale: run make docs\n")
    assert refresh_page(page, {"a": "new\n", "c": "x\n"}, "make docs") == 1
    assert "page.md: put the lines <!-- c: … -->" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["refresh"])
    assert refresh_page(page, {"a": "new\n"}, "make docs") == 0
    assert page.read_text() == PAGE.replace("old", "new")
    monkeypatch.setattr("sys.argv", ["refresh", "--check"])
    assert refresh_page(page, {"a": "new\n"}, "make docs") == 0


def test_committed_pages_are_fresh(monkeypatch, capsys):
    from docs import refresh

    monkeypatch.setattr("sys.argv", ["refresh", "--check"])
    assert (refresh.main(), capsys.readouterr().out) == (0, "")


class Example(Settings):
    """Every kind of value."""

    switch: bool = setting(False, "")
    choice: Literal["a", "b-c"] = setting("a", "")
    whole: int = setting(1, "", ge=1, le=4096)
    open: float = setting(0.5, "", gt=0, lt=1)
    bare: int = setting(0, "")
    seed: Seed = setting(0, "")
    text: str = setting("", "", max_length=64)
    names: Names = setting(("a",), "")
    maybe: OptionalName = setting(None, "")
    mpp: OptionalMpp = setting(None, "")
    data: Data = setting(..., "")
    more: OptionalData = setting(None, "")
    place: Place


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("switch", "`true`, `false`"),
        ("choice", "`a`, `b-c`"),
        ("whole", "integer, at least 1, at most 4,096"),
        ("open", "number, over 0, below 1"),
        ("bare", "integer"),
        ("seed", "integer, at least 0, below 2,147,483,648"),
        ("text", "text, at most 64 characters"),
        ("names", "one or more names"),
        ("maybe", "text, or `none`"),
        ("mpp", "number, at least 0.08, at most 20, or `none`"),
        ("data", "URI"),
        ("more", "URI, or `none`"),
        ("place", "URI"),
    ],
)
def test_values_are_said_in_words(name, words):
    assert value_of(Example.model_fields[name]) == words


@pytest.fixture(scope="module")
def written():
    """docs/settings.md by task, and ``task, kind`` of its other pipelines: its rows by the group of keys that they stand in, each row a list of cells."""
    parts = re.split(r"^## (.+)\n", settings(), flags=re.MULTILINE)
    assert parts[0] == ""
    tasks = {}
    for task, text in zip(parts[1::2], parts[2::2], strict=True):
        groups = re.split(r"^\*\*`([\w.-]+)`\*\* .*\n", text, flags=re.MULTILINE)
        tables = zip(groups[1::2], groups[2::2], strict=True)
        tasks[task] = {
            name: [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in table.splitlines() if line.startswith("| `")]
            for name, table in tables
        }
    return tasks


def test_every_task_has_its_tables(written):
    titles = [name if kind == TRAIN else f"{name}, {kind}" for name in NAMES for kind in task_spec(name).pipelines]
    assert list(written) == titles
    assert "msi, predict" in titles


def test_rows_are_as_the_settings_and_the_yaml_have_them(written):
    assert written["msi"]["train.hyperparameters"][3] == [
        *("`epochs`", "integer, at least 1, at most 1,000", "`20`", "`Epochs`", "Epochs of a fold, at most.")
    ]
    rows = {row[0]: row for group in ("extract", "extract.hyperparameters") for row in written["msi"][group]}
    assert rows["`max-tiles`"][1:4] == ["integer, at least 0", "`0`", "`TilesPerSlide`"]
    assert rows["`default-mpp`"][1:4] == ["number, at least 0.08, at most 20, or `none`", "`none`", "`DefaultMpp`"]
    assert rows["`features`"][1:4] == ["URI", "`s3://{bucket}/features/msi`", "`FeaturesUri`"]
    *rule, least = written["lizard"]["gate"]
    assert least == [
        *("`min-bpq`", "number, at least 0, at most 1", "`0.55`", "`MinBpq`"),
        "Least bPQ on the test patches, or lower bound of it, that registers a model.",
    ]
    assert [row[0] for row in rule] == ["`champion`", "`max-regression`", "`noninferiority-margin`", "`on`"]
    assert [row[0] for row in written["mhist"]["register"]] == ["`group`", "`instance-types`"]


def test_groups_come_in_the_order_of_the_yaml(written):
    assert list(written["msi"]) == [
        *("dataset", "encoder", "prepare.hyperparameters", "extract", "extract.hyperparameters", "collect.hyperparameters"),
        *("train", "train.hyperparameters", "evaluate.hyperparameters", "gate", "register", "endpoint"),
    ]


@pytest.mark.parametrize("task", NAMES)
def test_parameters_are_those_of_the_definition_with_their_defaults(task, written, definitions):
    """Instances are in a line below the tables; URIs are filled in for an environment in the definition."""
    rows = [row for group in written[task].values() for row in group]
    defaults = {row[3].strip("`"): row[2].strip("`") for row in rows if row[3]}
    declared = {item["Name"]: item for item in definitions[task]["Parameters"]}
    machines = {name for name in declared if name.endswith(("InstanceType", "InstanceCount"))}
    assert defaults.keys() == declared.keys() - machines
    for name, default in defaults.items():
        if "{bucket}" not in default:
            assert default == str(declared[name]["DefaultValue"]), name
    text = re.search(rf"^## {task}\n(.*?)(?=^## |\Z)", settings(), re.MULTILINE | re.DOTALL)[1]
    (line,) = re.findall(r"^Parameters of `resources`: (.*)\.$", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == machines


def test_no_hyperparameter_is_without_meaning(written):
    rows = [row for task in written.values() for name, group in task.items() if name.endswith("hyperparameters") for row in group]
    assert [row for row in rows if not row[4]] == []


def test_a_changelog_line_says_what_recomputes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    from pipelines import __version__

    versions = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert all(date for _, date in versions[1:])
    assert re.search(r"^- recomputes: ", text, re.MULTILINE)
