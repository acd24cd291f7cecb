"""download_lizard.sh from a folder and from an address."""

from pathlib import Path

import numpy as np
import pytest
from download_world import World


class TestLizard:
    @pytest.fixture
    def saved(self, world: World) -> Path:
        """Three patches in CoNIC's form, and a contents.py that wants three."""
        contents = world.scripts / "contents.py"
        contents.write_text(contents.read_text().replace("CONIC_PATCHES = 4981", "CONIC_PATCHES = 3"))
        folder = world.root / "saved"
        folder.mkdir()
        np.save(folder / "images.npy", np.zeros((3, 256, 256, 3), np.uint8))
        np.save(folder / "labels.npy", np.zeros((3, 256, 256, 2), np.uint16))
        (folder / "counts.csv").write_text(
            "neutrophil,epithelial,lymphocyte,plasma,eosinophil,connective\n" + "0,0,0,0,0,0\n" * 3
        )
        (folder / "patch_info.csv").write_text("patch_info\n" + "consep_1-0000\n" * 3)
        return folder

    def test_from_a_folder_and_second_run_does_nothing(self, world: World, saved: Path) -> None:
        done = world.run("download_lizard.sh", "--to", str(world.to), "--from", str(saved))
        assert done.returncode == 0, done.stderr
        names = {"images.npy", "labels.npy", "counts.csv", "patch_info.csv"}
        assert set(world.downloaded()) == {*names, "downloads.lock"} and {path.name for path in saved.iterdir()} == names
        again = world.run("download_lizard.sh", "--to", str(world.to), "--from", str(saved))
        assert again.stderr.count("there already") == 4

    def test_from_an_address_with_its_query(self, world: World, saved: Path) -> None:
        world.server.files |= {f"/conic/{path.name}": path.read_bytes() for path in saved.iterdir()}
        done = world.run("download_lizard.sh", "--to", str(world.to), "--from", world.server.url("/conic/?signature=private"))
        assert done.returncode == 0, done.stderr
        assert {request.path.partition("?")[2] for request in world.server.requests} == {"signature=private"}
        assert "private" not in done.stderr

    @pytest.mark.parametrize("name", ["images.npy", "labels.npy", "counts.csv", "patch_info.csv"])
    def test_page_saved_under_a_files_name_is_refused(self, world: World, saved: Path, name: str) -> None:
        (saved / name).write_bytes(b"<html>too many people have looked at this file lately</html>")
        done = world.run("download_lizard.sh", "--to", str(world.to), "--from", str(saved))
        assert done.returncode == 1 and name not in world.downloaded()

    def test_missing_file_is_named(self, world: World, saved: Path) -> None:
        (saved / "labels.npy").unlink()
        done = world.run("download_lizard.sh", "--to", str(world.to), "--from", str(saved))
        assert done.returncode == 2 and "has no labels.npy" in done.stderr
