"""Unpacking a model: plain files inside the folder and within a budget, or nothing."""

import io
import tarfile

import pytest
from pathology.contracts.errors import DataError


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"x", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def pack(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (member("../outside"), "outside the model's folder"),
        (member("/absolute"), "outside the model's folder"),
        (member("a/../../b"), "outside the model's folder"),
        (member("link", tarfile.SYMTYPE, link="/etc/passwd"), "a link or a device"),
        (member("hard", tarfile.LNKTYPE, link="config.json"), "a link or a device"),
        (member("pipe", tarfile.FIFOTYPE), "a link or a device"),
        (member("zeros", content=bytes(2**26)), "more than a model holds"),
    ],
)
def test_archives_that_attack(tmp_path, made, message):
    from pathology.unpacking import unpack

    path = pack(tmp_path / "model.tar.gz", member("config.json"), made)
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out")
    assert {item.name for item in tmp_path.iterdir()} <= {"model.tar.gz", "out"}
    assert not (tmp_path / "out" / "zeros").exists()


def test_too_many_files_and_twice_the_same(tmp_path, monkeypatch):
    from pathology import unpacking
    from pathology.unpacking import unpack

    monkeypatch.setattr(unpacking, "MAX_FILES", 3)
    path = pack(tmp_path / "many.tar.gz", *[member(str(number)) for number in range(4)])
    with pytest.raises(DataError, match="more than a model holds"):
        unpack(path, tmp_path / "a")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(pack(tmp_path / "twice.tar.gz", member("x"), member("x")), tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_no_archive(tmp_path, content):
    from pathology.unpacking import unpack

    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"model.tar.gz cannot be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
