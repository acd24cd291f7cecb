"""Zips and folders of patches: what is plain is read, what attacks or is broken is refused in one line before a file is read."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from pathology.contracts.errors import DataError
from pathology.patches import files as patch_files
from pathology.patches.files import ZippedPatches, open_patches

CONTENT = bytes(range(256)) * 8


def entry(name: str, mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, method
    return info


def pack(path: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["", "images/", "MHIST/images/"])
def test_a_plain_zip_is_read_with_any_folders(tmp_path, folder, method):
    path = pack(
        tmp_path / "images.zip",
        *([(entry(folder, stat.S_IFDIR | 0o755), b"")] if folder else []),
        (entry(f"{folder}a.png", stat.S_IFREG | 0o644, method), CONTENT),
        (entry(f"{folder}b.png", method=method), b"b"),
        (entry(f"__MACOSX/{folder}._a.png"), b"litter"),
        (entry(f"{folder}.DS_Store"), b"litter"),
    )
    for source in (path, tmp_path):
        files = open_patches(source)
        assert sorted(files.names) == ["a.png", "b.png"] and files.where == "images.zip"
        assert (files.read("a.png"), files.read("b.png")) == (CONTENT, b"b")


@pytest.mark.parametrize("below", [".", "images"])
def test_a_folder_of_pngs(tmp_path, below):
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "a.png").write_bytes(CONTENT)
    for litter in ("._a.png", ".DS_Store", "README.md"):
        (tmp_path / below / litter).write_bytes(b"x")
    files = open_patches(tmp_path)
    assert list(files.names) == ["a.png"] and files.read("a.png") == CONTENT


def test_folders_that_do_not_say_which(tmp_path):
    with pytest.raises(DataError, match="there is no such folder of patches"):
        open_patches(tmp_path / "gone")
    with pytest.raises(DataError, match="images holds no zip and no PNG or JPEG"):
        open_patches(tmp_path)
    pack(tmp_path / "images.zip", (entry("a.png"), b"x"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="images holds 1 zip files and 1 pictures: give one zip, or the pictures"):
        open_patches(tmp_path)
    (tmp_path / "images.zip").unlink()
    (tmp_path / "a.png").write_bytes(b"y")
    with pytest.raises(DataError, match=r"images holds a\.png twice"):
        open_patches(tmp_path)


def test_a_file_too_large_for_a_patch(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises(DataError, match=r"a\.png: 1,048,577 bytes are too many"):
        open_patches(tmp_path).read("a.png")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (entry("../a.png"), "is not a plain relative name"),
        (entry("/a.png"), "is not a plain relative name"),
        (entry("images/../../a.png"), "is not a plain relative name"),
        (entry("images//a.png"), "is not a plain relative name"),
        (entry("./a.png"), "is not a plain relative name"),
        (entry("C:a.png"), "is not a plain relative name"),
        (entry("images\\a.png"), "is not a plain relative name"),
        (entry("a\n.png"), "is not a plain relative name"),
        (entry("a.png", stat.S_IFLNK | 0o777), "a link or a device"),
        (entry("a.png", stat.S_IFIFO), "a link or a device"),
        (entry("a.png", stat.S_IFCHR), "a link or a device"),
        (entry("a.png", stat.S_IFDIR), "a link or a device"),
        (entry("images/", stat.S_IFLNK), "a link or a device"),
        (entry("a.png", method=zipfile.ZIP_LZMA), "compressed with method 14"),
        (entry("a.png", method=zipfile.ZIP_BZIP2), "compressed with method 12"),
    ],
)
def test_entries_that_attack(tmp_path, made, message):
    path = pack(tmp_path / "images.zip", (entry("good.png"), CONTENT), (made, b"x"))
    with pytest.raises(DataError, match=message) as caught:
        ZippedPatches(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("images.zip")


def test_a_name_that_ends_early_at_a_nul(tmp_path):
    path = patched(pack(tmp_path / "images.zip", (entry("a.pngXx"), b"x")), b"a.pngXx", b"a.png\0x")
    with pytest.raises(DataError, match="is not a plain relative name"):
        ZippedPatches(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path):
    with pytest.raises(DataError, match=r"images\.zip holds a\.png twice \(a\.png and a\.png\)"):
        ZippedPatches(pack(tmp_path / "images.zip", (entry("a.png"), b"1"), (entry("a.png"), b"2")))
    with pytest.raises(DataError, match=r"holds a\.png twice \(x/a\.png and y/a\.png\)"):
        ZippedPatches(pack(tmp_path / "images.zip", (entry("x/a.png"), b"1"), (entry("y/a.png"), b"2")))


def test_encryption(tmp_path):
    path = pack(tmp_path / "images.zip", (entry("a.png"), b"x"))
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        ZippedPatches(path)


def test_budgets(tmp_path, monkeypatch):
    zeros = bytes(2**20)
    with pytest.raises(DataError, match="1,048,577 bytes, too many for a patch"):
        ZippedPatches(pack(tmp_path / "a.zip", (entry("n.png", method=0), bytes(2**19)), (entry("a.png"), zeros + b"0")))
    with pytest.raises(
        DataError, match=r"unpacks to 4 files of 4,194,304 bytes: more than patches make of [\d,]+ bytes; refused"
    ):
        ZippedPatches(pack(tmp_path / "b.zip", *[(entry(f"{number}.png"), zeros) for number in range(4)]))
    monkeypatch.setattr(patch_files, "MAX_FILES", 3)
    with pytest.raises(DataError, match="unpacks to 4 files"):
        ZippedPatches(pack(tmp_path / "c.zip", *[(entry(f"{number}.png"), b"x") for number in range(4)]))
    monkeypatch.setattr(patch_files, "MAX_DIRECTORY", 100)
    with pytest.raises(DataError, match="lists more files than a set of patches has"):
        ZippedPatches(tmp_path / "c.zip")


def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path):
    path = pack(tmp_path / "images.zip", (entry("a.png"), bytes(2**20)), (entry("b.png", method=0), bytes(2**19)))
    patched(path, struct.pack("<L", 2**20), struct.pack("<L", 1000))
    with pytest.raises(DataError, match=r"a\.png in images\.zip cannot be read \(Bad CRC-32"):
        ZippedPatches(path).read("a.png")


def test_an_entry_that_unpacks_to_less_than_it_says(tmp_path):
    path = pack(tmp_path / "images.zip", (entry("a.png"), b"x" * 1000))
    patched(path, struct.pack("<L", 1000), struct.pack("<L", 1001))
    with pytest.raises(DataError, match=r"a\.png in images\.zip has 1,000 bytes and says 1,001"):
        ZippedPatches(path).read("a.png")


def test_zip64_is_refused_before_it_is_read(tmp_path):
    content = bytearray(pack(tmp_path / "images.zip", (entry("a.png"), b"x")).read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end:end] = b"PK\x06\x06" + bytes(52) + b"PK\x06\x07" + bytes(16)
    (tmp_path / "images.zip").write_bytes(content)
    with pytest.raises(DataError, match="is a zip64 archive"):
        ZippedPatches(tmp_path / "images.zip")


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"no zip at all" * 10_000, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_not_a_zip(tmp_path, content):
    (tmp_path / "images.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"images\.zip (is not a zip|cannot be opened|lists more)"):
        ZippedPatches(tmp_path / "images.zip")


def test_every_cut_and_every_flipped_byte_is_one_line_or_the_same_files(tmp_path):
    whole = pack(tmp_path / "whole.zip", (entry("a.png"), CONTENT), (entry("b.png", method=0), b"patch")).read_bytes()
    flips = [bytes([*whole[:at], whole[at] ^ bit, *whole[at + 1 :]]) for at in range(len(whole)) for bit in (1, 0x80)]
    refused = 0
    for content in [*(whole[:end] for end in range(0, len(whole), 3)), *flips]:
        path = tmp_path / "images.zip"
        path.write_bytes(content)
        try:
            files = ZippedPatches(path)
            read = [files.read(name) for name in files.names]
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert set(read) <= {CONTENT, b"patch"}
    assert refused > len(flips) / 3


def test_a_zip_behind_other_bytes_is_read(tmp_path):
    whole = pack(tmp_path / "images.zip", (entry("a.png"), CONTENT)).read_bytes()
    (tmp_path / "images.zip").write_bytes(io.BytesIO(b"#!/bin/sh\n" * 50 + whole).getvalue())
    assert ZippedPatches(tmp_path / "images.zip").read("a.png") == CONTENT
