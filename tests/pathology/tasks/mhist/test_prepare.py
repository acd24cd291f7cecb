"""Preparing MHIST: what is right is copied unchanged, what is wrong is named in one line."""

import hashlib
import io
import shutil
import zipfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.contracts.mhist.patches import LABELS, MhistPatchRow
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.patches.dataset import read_patch
from pathology.patches.prepare import describe
from pathology.tasks.mhist import split as module
from pathology.tasks.mhist.prepare import prepare, summarise
from pathology.tasks.mhist.split import choose_validation
from pathology.tasks.mhist.table import HEADER, Annotation, read_annotations
from PIL import Image

from demo.patches import make_patches

COUNT = 40
SUBSET = PrepareMhist(published_counts=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """annotations.csv, images/images.zip, and the same patches in png/."""
    top = tmp_path_factory.mktemp("mhist")
    make_patches(top, COUNT, seed=1)
    with zipfile.ZipFile(top / "images" / "images.zip") as archive:
        archive.extractall(top / "png")
    return top


@pytest.fixture
def damaged(made, tmp_path):
    """The patches as PNGs, to do harm to."""
    shutil.copytree(made / "png", tmp_path / "png")
    shutil.copy(made / "annotations.csv", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def prepared(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    return out, prepare(made / "annotations.csv", made / "images", out, SUBSET)[0]


def png(width: int = 224, height: int = 224, mode: str = "RGB", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind)
    return file.getvalue()


def header(width: int, height: int) -> bytes:
    """A PNG's beginning that declares this size."""
    import zlib

    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + chunk + zlib.crc32(chunk).to_bytes(4, "big")


def test_patches_are_copied_unchanged_and_described(made, prepared):
    out, rows = prepared
    assert [row.image for row in rows] == sorted(path.name for path in out.iterdir()) and len(rows) == COUNT
    with zipfile.ZipFile(made / "images" / "images.zip") as archive:
        for row in rows:
            content = archive.read(f"images/{row.image}")
            assert (out / row.image).read_bytes() == content
            assert (row.sha256, row.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    table = {line.image: line for line in read_annotations(made / "annotations.csv", SUBSET).lines}
    for row in rows:
        line = table[row.image]
        assert (row.label, row.votes, row.split == "test") == (line.label, line.votes, line.partition == "test")


def test_a_zip_a_folder_and_another_order_give_the_same_table(made, prepared, tmp_path):
    first = MhistPatchRow.table(prepared[1])
    lines = (made / "annotations.csv").read_text().splitlines()
    (tmp_path / "annotations.csv").write_bytes("\r\n".join([lines[0], *reversed(lines[1:]), ""]).encode("utf-8-sig"))
    for number, images in enumerate((made / "images" / "images.zip", made / "png", made / "png" / "images")):
        rows, _ = prepare(tmp_path / "annotations.csv", images, tmp_path / str(number), SUBSET)
        assert MhistPatchRow.table(rows) == first


def test_the_validation_split_follows_class_and_votes(prepared):
    _, rows = prepared
    for label in (0, 1):
        held, trained = (
            sum(row.label == label and row.split in splits for row in rows)
            for splits in (("validation",), ("validation", "train"))
        )
        assert held == max(1, round(trained * 0.15))


@given(
    votes=st.lists(st.integers(0, 7), min_size=4, max_size=300),
    fraction=st.floats(0.01, 0.49),
    seed=st.integers(0, 2**31 - 1),
    shuffle=st.randoms(use_true_random=False),
)
def test_validation_is_stratified_for_any_votes(votes, fraction, seed, shuffle):
    table = [Annotation(f"p{number}.png", int(count > 3), count, "train") for number, count in enumerate([0, 0, 7, 7, *votes])]
    table += [Annotation(f"t{number}.png", int(count > 3), count, "test") for number, count in enumerate(votes)]
    chosen = choose_validation(table, fraction, seed)
    shuffle.shuffle(table)
    assert choose_validation(table, fraction, seed) == chosen
    assert not any(image.startswith("t") for image in chosen)
    for label in (0, 1):
        of_class = [line for line in table if line.partition == "train" and line.label == label]
        wanted = min(max(1, round(len(of_class) * fraction)), len(of_class) - 1)
        assert sum(line.image in chosen for line in of_class) == wanted
        for count, total in Counter(line.votes for line in of_class).items():
            held = sum(line.image in chosen for line in of_class if line.votes == count)
            assert abs(held - total * wanted / len(of_class)) < 1


def test_another_seed_keeps_others_aside(made):
    table = read_annotations(made / "annotations.csv", SUBSET).lines
    chosen = [choose_validation(table, 0.3, seed) for seed in range(5)]
    assert len({frozenset(images) for images in chosen}) > 3 and len({len(images) for images in chosen}) == 1


def line_of(text: str, number: int) -> str:
    return text.splitlines()[number]


FIRST = "MHIST_aaa.png"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "annotations.csv is empty: give a table of images and labels"),
        (
            lambda t: t.replace("Majority Vote Label", "Diagnosis"),
            "annotations.csv: no column for the label among 'Image Name', 'Diagnosis', .*: name it with 'label-column', or call it one of",
        ),
        (lambda t: t.replace(",Partition", ""), "line 2: 4 values under 3 columns"),
        (lambda t: t.split("\n", 1)[1], "no column for the patch's file among 'MHIST_aaa.png', '(HP|SSA)', "),
        (
            lambda t: t.replace(",train\n", ",validation\n", 1),
            r"line \d+: MHIST_a..\.png is in partition 'validation', which is nei",
        ),
        (
            lambda t: t.replace(",HP,", ",hp,", 1),
            r"line \d+: MHIST_a..\.png has the label 'hp', which is neither HP nor SSA "
            r"\(the table has 'HP' \(2\d\), 'SSA' \(1\d\), 'hp' \(1\)\): correct it, or name the classes with 'positive' and 'negative'",
        ),
        (
            lambda t: t.replace("HP,0,", "SSA,0,", 1),
            r"line \d+: .* is SSA and 0 of 7 annotators selected SSA: one of them is wrong",
        ),
        (lambda t: t.replace("SSA,7,", "HP,7,", 1), r"line \d+: .* is HP and 7 of 7 annotators selected SSA"),
        (lambda t: t.replace("HP,0,", "HP,8,", 1), r"line \d+: .* has '8' votes, which is not a whole number from 0 to 7"),
        (lambda t: t.replace("HP,0,", "HP,-1,", 1), r"has '-1' votes"),
        (lambda t: t.replace("HP,0,", "HP,0.0,", 1), r"has '0.0' votes"),
        (lambda t: t.replace("HP,0,", "HP,,", 1), r"has '' votes"),
        (lambda t: t.replace("HP,0,", "HP,²,", 1), r"has '²' votes"),
        (lambda t: t + line_of(t, 1) + "\n", rf"line {COUNT + 2}: {FIRST} is duplicated"),
        (lambda t: t + "MHIST_zzz.png,HP,0\n", rf"line {COUNT + 2}: 3 values under 4 columns"),
        (lambda t: t.replace(FIRST, "../aaa.png"), r"line 2: '\.\./aaa\.png' is not the name of a patch"),
        (lambda t: t.replace(FIRST, "images/aaa.png"), r"line 2: 'images/aaa\.png' is not the name of a patch"),
        (lambda t: t.replace(FIRST, ".png"), r"line 2: '\.png' is not the name of a patch"),
        (lambda t: t.replace(FIRST, "MHIST_aaa.jpg"), rf"1 of {COUNT} patches are not in images.zip: MHIST_aaa\.jpg"),
        (lambda t: t.replace(FIRST, "é.png"), r"line 2: 'é\.png' is not the name of a patch"),
        (lambda t: t.replace(FIRST, "a" * 300 + ".png"), r"line 2: 'aaa.*' is not the name of a patch"),
        (lambda t: t.replace(FIRST, ""), r"line 2: '' is not the name of a patch"),
        (lambda t: line_of(t, 0) + "\n", r"the table has 0 HP patches in train"),
        (lambda t: "\n".join(v for v in t.splitlines() if ",SSA," not in v or "train" in v), r"has 0 SSA patches in test"),
        (lambda t: t.replace(FIRST, "MHIST_zzz.png"), rf"1 of {COUNT} patches are not in images.zip: MHIST_zzz\.png: fetch"),
    ],
)
def test_tables_that_are_wrong(made, tmp_path, change, message):
    (tmp_path / "annotations.csv").write_text(change((made / "annotations.csv").read_text()))
    with pytest.raises(DataError, match=message) as caught:
        prepare(tmp_path / "annotations.csv", made / "images", tmp_path / "out", SUBSET)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00\x01", b"a\0b,c\n", ",".join(HEADER).encode() + b'\n"' + b"x" * 200_000 + b'"\n']
)
def test_no_table_at_all(tmp_path, content):
    (tmp_path / "annotations.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"annotations\.csv(: no column for the patch| cannot be read as a csv table)"):
        read_annotations(tmp_path / "annotations.csv", SUBSET)
    with pytest.raises(DataError, match="gone.csv cannot be read"):
        read_annotations(tmp_path / "gone.csv", SUBSET)


def test_the_published_partition_is_held_to_unless_switched_off(made, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"has 28 train and 12 test patches and MHIST has 2,175 and 977: .*'published-counts'"):
        prepare(made / "annotations.csv", made / "images", tmp_path, PrepareMhist())
    monkeypatch.setattr(module, "PUBLISHED", {"train": 28, "test": 12})
    assert len(prepare(made / "annotations.csv", made / "images", tmp_path, PrepareMhist())[0]) == COUNT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{FIRST} is not a PNG"),
        (b"GIF89a" + bytes(100), f"{FIRST} is not a PNG"),
        (png(kind="JPEG"), f"{FIRST} is not a PNG, though its name says so"),
        (png()[:-200], f"{FIRST}: "),
        (png()[:100] + b"\xff" * 50 + png()[150:], f"{FIRST}: "),
        (header(50_000, 50_000), f"{FIRST}: "),
        (header(224, 224), f"{FIRST}: "),
        (png(225, 224), f"{FIRST} is 225×224 px and the data set's patches are 224×224"),
        (png(224, 448), f"{FIRST} is 224×448 px"),
        (png(1, 1), f"{FIRST}: is 1 × 1 px"),
        (png(mode="I;16"), f"{FIRST}: has 16 bits"),
        (bytes(2**20 + 1), f"{FIRST}: 1,048,577 bytes are too many"),
        (None, rf"1 of {COUNT} patches are not in images: {FIRST}"),
    ],
)
def test_patches_that_are_wrong_are_named(damaged, content, message):
    path = damaged / "png" / "images" / FIRST
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prepare(damaged / "annotations.csv", damaged / "png", damaged / "out", SUBSET)
    assert "\n" not in str(caught.value)
    assert not (damaged / "out" / FIRST).exists()


def test_many_absent_patches_are_counted(damaged):
    for path in sorted((damaged / "png" / "images").iterdir())[:7]:
        path.unlink()
    with pytest.raises(DataError, match=rf"7 of {COUNT} patches are not in images: {FIRST}, (\w+\.png, ){{4}}…: fetch"):
        prepare(damaged / "annotations.csv", damaged / "png", damaged / "out", SUBSET)


def test_patches_beyond_the_table_are_left_out_and_counted(damaged, capsys):
    (damaged / "png" / "images" / "MHIST_zzz.png").write_bytes(b"never opened")
    rows, _ = prepare(damaged / "annotations.csv", damaged / "png", damaged / "out", SUBSET)
    assert len(rows) == COUNT and not (damaged / "out" / "MHIST_zzz.png").exists()
    assert "left out: 1 files in images that the table does not name" in capsys.readouterr().out


def test_greyscale_is_taken_and_reads_as_rgb(damaged):
    (damaged / "png" / "images" / FIRST).write_bytes(png(mode="L"))
    rows, _ = prepare(damaged / "annotations.csv", damaged / "png", damaged / "out", SUBSET)
    assert read_patch(damaged / "out", rows[0], 224).shape == (224, 224, 3)


def test_the_summary_counts_and_finds_the_same_picture_twice(damaged):
    names = sorted(path.name for path in (damaged / "png" / "images").iterdir())
    shutil.copy(damaged / "png" / "images" / names[0], damaged / "png" / "images" / names[1])
    rows, _ = prepare(damaged / "annotations.csv", damaged / "png", damaged / "out", SUBSET)
    figures = summarise(rows, SUBSET, {})
    assert figures["labels"] == ["HP", "SSA"] and figures["identical"] == [names[:2]]
    assert figures["patches"] == COUNT == sum(split["patches"] for split in figures["splits"].values())
    for split in figures["splits"].values():
        assert split["HP"] + split["SSA"] == split["patches"] == sum(split["votes"]) and sum(split["votes"][4:]) == split["SSA"]
    assert figures["settings"] == {"published_counts": False, "validation_fraction": 0.15, "split_seed": 0}
    assert "warning: 1 patches have the very bytes of another" in describe(rows, LABELS)
    both = [rows[0].model_copy(update={"split": "train"}), rows[1].model_copy(update={"split": "test"}), *rows[2:]]
    assert "warning: 1 test patches are learnt from as well: take them out, or the evaluation" in describe(both, LABELS)
    apart = [row.model_copy(update={"split": "train"}) for row in rows[:2]] + rows[2:]
    assert "learnt from as well" not in describe(apart, LABELS)
