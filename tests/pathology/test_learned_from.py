"""What a model learnt from: the same items the same bytes, ids as pseudonyms, whatever is known again by any of its marks."""

import json
import unicodedata

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import normal

INPUTS = {"cohort": "a" * 64, "slides": "b" * 64}


def patient(name, *hashes):
    from pathology.contracts.learned_from import Item

    return Item(name, ids={"patients": (name,)}, contents={"features": hashes})


def learnt(*items, inputs=INPUTS):
    from pathology.contracts.learned_from import LearnedFrom

    return LearnedFrom.of(items, inputs)


@pytest.mark.parametrize(
    "other", ["TCGA-MÜLLER-01", unicodedata.normalize("NFD", "Tcga-Müller-01"), "ＴＣＧＡ-müller-０１", "tcga-müller-01"]
)
def test_ids_are_compared_in_a_normal_form(other):
    assert normal(other) == normal("TCGA-Müller-01") == "tcga-müller-01"
    assert learnt(patient("TCGA-Müller-01")).seen([patient(other), patient("TCGA-Muller-01")]) == [other]


def test_an_item_is_known_again_by_any_of_its_marks():
    from pathology.contracts.learned_from import Item

    made = learnt(patient("p1", "1" * 64, "2" * 64), Item("s", names={"source images": ("crag_1",)}))
    asked = [
        patient("p1", "3" * 64),
        patient("other", "3" * 64, "2" * 64),
        patient("p2", "3" * 64),
        Item("x", names={"source images": ("crag_1",)}),
        Item("y", names={"source images": ("CRAG_1",)}),  # names are kept and compared as they are written
        Item("z", contents={"pixels": ("1" * 64,)}),  # another kind
        Item("nothing", ids={"groups": ()}),
    ]
    assert made.seen(asked) == ["p1", "other", "x"]


def test_pseudonyms_do_not_hold_the_ids_and_differ_between_kinds_and_data_sets():
    from pathology.contracts.learned_from import Item

    names = [f"TCGA-AA-{number:04d}" for number in range(50)]
    content = learnt(*map(patient, names)).pack()[1].lower()
    assert not [name for name in names if name.lower().encode() in content or name[-4:].lower().encode() + b'"' in content]
    (one,), (two,) = (learnt(patient("p"), inputs=each).pseudonyms["patients"] for each in (INPUTS, {"cohort": "c" * 64}))
    both = learnt(Item("p", ids={"patients": ("p",), "groups": ("p",)})).pseudonyms
    assert len({one, two, *both["groups"]}) == 3 and both["patients"] == (one,)


def test_the_same_items_in_any_order_are_the_same_bytes():
    items = [patient("p1", "1" * 64), patient("p2", "2" * 64, "3" * 64), patient("p2", "2" * 64)]
    made = learnt(*items)
    assert made.pack() == learnt(*reversed(items), inputs=dict(reversed(INPUTS.items()))).pack()
    assert type(made).from_json(made.pack()[1], "it") == made


def test_a_group_is_a_pseudonym_where_one_is_given():
    from pathology.contracts.learned_from import LearnedFrom, pseudonym
    from pathology.contracts.patches import PatchRow
    from pathology.patches.learned_from import items

    def row(image: str, sha256: str, split: str, group: str = "") -> PatchRow:
        return PatchRow(image=image, sha256=sha256 * 64, bytes=1, label=0, split=split, group=group)

    rows = [row("0.png", "0", "train", "Patient 1"), row("1.png", "1", "train"), row("2.png", "2", "validation")]
    made = LearnedFrom.of(items(rows), INPUTS)
    assert made.pseudonyms == {"groups": (pseudonym("patient 1", "groups", made.salt),)}
    assert made.seen(items([row("new.png", "f", "test", "PATIENT 1")])) == ["new.png"]
    assert made.seen(items([row("new.png", "f", "test"), row("other.png", "e", "test", "Patient 2")])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "lacks learned-from.json: register a whole one"),
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "learned-from.json is not the one that was packed"),
    ],
)
def test_a_list_that_is_gone_or_changed_is_named(tmp_path, change, message):
    from pathology.artefact import ModelConfig
    from pathology.learned_from import read_learned_from

    sha256, content = learnt(patient("p1")).pack()
    encoder = {"name": "tiny", "sha256": "d" * 64, "dimension": 4, "published": False}
    config = ModelConfig(encoder=encoder, training={}, inputs={}, learned_from=sha256, serving_code="", versions={})
    path = tmp_path / "learned-from.json"
    path.write_bytes(content)
    assert read_learned_from(tmp_path, config) == learnt(patient("p1"))
    change(path)
    with pytest.raises(DataError, match=message):
        read_learned_from(tmp_path, config)
    assert read_learned_from(tmp_path, config.model_copy(update={"learned_from": None})) is None


def test_a_list_of_another_version_is_refused():
    from pathology.contracts.learned_from import LearnedFrom

    content = json.loads(learnt(patient("p1")).pack()[1]) | {"version": 2}
    with pytest.raises(DataError, match="version"):
        LearnedFrom.from_json(json.dumps(content).encode(), "the list")


@pytest.mark.parametrize("task", ["msi", "mhist", "lizard"])
def test_an_endpoint_has_nothing_to_do_with_the_list(task):
    from pathology.serving.code import endpoint_code

    files = endpoint_code(f"pathology.tasks.{task}.serving").files
    assert "pathology/artefact.py" in files
    assert not [name for name in files if "learned_from" in name or "identifiers" in name]
