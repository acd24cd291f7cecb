"""Tables as people have them: image and label, with or without a partition, a group, votes; PNG or JPEG."""

import io
import json

import pytest
from pathology.commands.prepare_mhist import main
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.mhist.prepare import PrepareMhist, PrepareMhistJob
from pathology.tasks.mhist.dataset import read_patches
from pathology.tasks.mhist.split import choose_sides
from pathology.tasks.mhist.table import HEADER, read_annotations
from PIL import Image
from prepare_jobs import run_prepare

PATIENTS, EACH = 20, 4
OWN = {"positive": ["adenoma"], "negative": ["polyp"]}


def rows(kind="png"):
    """Patches of 20 patients, four of each, a third with adenoma in each of theirs: file, label, patient."""
    return [
        (f"P{patient:02d}_{number}.{kind}", "adenoma" if patient % 3 == 0 else "polyp", f"P{patient:02d}")
        for patient in range(PATIENTS)
        for number in range(EACH)
    ]


def write(path, header, lines, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(separator.join(line) for line in [header, *lines]) + "\n")
    return path


def sides(path, **settings):
    settings = PrepareMhist(**{**OWN, **settings})
    table = read_annotations(path, settings)
    return {line.image: line for line in table.lines}, choose_sides(table, settings)


def picture(number, kind, side=64):
    file = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, 90, 160)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("JPEG", "JPEG")])
def test_a_table_of_images_and_labels_is_split_and_copied_unchanged(tmp_path, capsys, kind, suffix):
    write(tmp_path / "in" / "table" / "mine.csv", ["image", "label"], [row[:2] for row in rows(suffix)])
    (tmp_path / "in" / "images").mkdir()
    contents = {row[0]: picture(number, kind) for number, row in enumerate(rows(suffix))}
    for name, content in contents.items():
        (tmp_path / "in" / "images" / name).write_bytes(content)
    data = {"annotations": tmp_path / "in" / "table", "images": tmp_path / "in" / "images"}
    handed = run_prepare(main, tmp_path / "ml", tmp_path / "uris", PrepareMhistJob, data, **OWN, patch_side=64)
    read = read_patches(handed["patches"] / "patches.csv")
    assert {row.image: (handed["images"] / row.image).read_bytes() for row in read} == contents
    assert {row.votes for row in read} == {None}
    tested = [row.label for row in read if row.split == "test"]
    assert (len(tested), sum(tested)) in {(16, 6), (16, 5), (17, 6), (15, 5)}, "a fifth of 80, 28 of them adenoma"
    facts = json.loads((handed["patches"] / "dataset.json").read_text())
    assert (facts["dataset"], facts["labels"]) == ("patches", ["polyp", "adenoma"])
    assert facts["columns"] == {"image": "image", "label": "label"}
    assert facts["settings"]["patch_side"] == 64
    assert "names no group" in facts["warnings"][0] and "votes" not in facts["splits"]["test"]
    out = capsys.readouterr().out
    assert "columns: image 'image', label 'label'\n" in out
    assert "no column of annotators' votes: no soft labels, no table by agreement\n" in out
    assert "warning: The table names no group" in out and "adenoma (" in out


@pytest.mark.parametrize("column", ["patient", "Patient ID", "CASE", "slide-id", "group"])
def test_no_group_is_on_two_sides(tmp_path, column):
    path = write(tmp_path / "t.csv", ["File Name", "Class", column], rows(), separator=";")
    seen = set()
    for seed in range(5):
        lines, split = sides(path, split_seed=seed)
        where = {}
        for image, line in lines.items():
            where.setdefault(line.group, set()).add(split.sides[image])
        assert all(len(found) == 1 for found in where.values()) and split.warnings == ()
        tested = [line.label for image, line in lines.items() if split.sides[image] == "test"]
        assert abs(len(tested) - 16) <= EACH and abs(sum(tested) - 28 / 5) <= EACH
        assert {split.sides[image] for image in lines} == {"train", "validation", "test"}
        assert sides(path, split_seed=seed)[1] == split
        seen.add(frozenset(group for group, found in where.items() if found == {"test"}))
    assert len(seen) > 1


PARTITIONS = ["Training"] * 50 + ["val"] * 10 + ["TEST"] * 20


def test_a_partition_of_ones_own_is_kept(tmp_path):
    given = [(*row[:2], part) for row, part in zip(rows(), PARTITIONS, strict=True)]
    lines, split = sides(write(tmp_path / "t.csv", ["image", "label", "Split"], given))
    expected = {"Training": "train", "val": "validation", "TEST": "test"}
    assert split.sides == {image: expected[part] for image, _, part in given}
    without = [(*row, "test" if part == "TEST" else "train") for row, part in zip(rows(), PARTITIONS, strict=True)]
    lines, split = sides(write(tmp_path / "t.csv", ["image", "label", "patient", "set"], without))
    assert {image for image, side in split.sides.items() if side == "test"} == {row[0] for row in without if row[3] == "test"}
    learnt, kept = (
        {line.group for image, line in lines.items() if split.sides[image] == side} for side in ("train", "validation")
    )
    assert kept and not learnt & kept, "validation is by patient where there is one"
    assert split.warnings == ()


def test_groups_on_two_sides_of_a_given_partition_are_refused_by_name(tmp_path):
    leaking = [(*row, "test" if number % 4 == 0 else "train") for number, row in enumerate(rows())]
    with pytest.raises(DataError, match=r"20 groups of the table are in test and in train or validation .* \(p00, p01, .*, …\)"):
        sides(write(tmp_path / "t.csv", ["image", "label", "patient", "partition"], leaking))


@pytest.mark.parametrize(
    ("header", "change", "settings", "message"),
    [
        (["image", "label"], lambda line: (line[0], line[1].upper()), {},
         "line 2: P00_0.png has the label 'ADENOMA', which is neither polyp nor adenoma (the table has 'POLYP' (52), 'ADENOMA' (28)): "
         "correct it, or name the classes with 'positive' and 'negative'"),
        (["image", "label", "patient", "slide"], lambda line: (*line, line[2]), {},
         "t.csv: 'patient', 'slide' could each hold the group: name the one with 'group-column'"),
        (["image", "label", "patient"], lambda line: (*line[:2], ""), {}, "line 2: P00_0.png has no group: give it one"),
        (["image", "label", "set"], lambda line: (*line[:2], "fold 1"), {},
         "line 2: P00_0.png is in partition 'fold 1', which is none of train, validation, test"),
        (["image", "label"], lambda line: (line[0] + "f", line[1]), {}, "line 2: 'P00_0.pngf' is not the name of a patch"),
        (["image", "label", "patient"], lambda line: (*line[:2], "one"), {}, "no polyp patch is in "),
        (["image", "label", "set"], lambda line: (*line[:2], "train"), {}, "the table has 0 polyp patches in test"),
        (["picture", "label"], lambda line: line[:2], {"image_column": "Picture", "label_column": "diagnosis"},
         "'label-column' is 'diagnosis', and there is no column for the label among 'picture', 'label': correct it"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_in_a_line_that_says_what_to_do(tmp_path, header, change, settings, message):
    path = write(tmp_path / "t.csv", header, [change(row) for row in rows()])
    with pytest.raises(DataError) as refused:
        sides(path, **settings)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_columns_and_classes_can_be_named(tmp_path):
    lines = [(*row, row[2][-1]) for row in rows()]
    path = write(tmp_path / "t.csv", ["image", "diagnosis", "patient", "slide"], lines, separator="\t")
    found, _ = sides(path, label_column="Diagnosis", group_column="patient", positive=["polyp"], negative=["adenoma"])
    assert sum(line.label for line in found.values()) == 52
    with pytest.raises(RequestError, match="'polyp' is in negative and in positive"):
        PrepareMhist.parse({"negative": "polyp,x", "positive": "polyp"}, "settings")


def test_published_counts_hold_for_mhists_own_columns_alone(tmp_path):
    table = [(image, label, "train" if number % 4 else "test") for number, (image, label, _) in enumerate(rows())]
    path = write(tmp_path / "t.csv", ["image", "label", "partition"], table)
    assert sides(path, published_counts=True)[1].sides
    votes = [(image, label, "0" if label == "polyp" else "7", part) for image, label, part in table]
    with pytest.raises(DataError, match="MHIST has 2,175 and 977"):
        sides(write(tmp_path / "t.csv", HEADER, votes), published_counts=True)
