"""download_mhist.sh against a grant whose addresses lead to a server that lies."""

import io
import zipfile

import pytest
from download_world import World, md5, sha256


def mhist_files(patches: int = 3152) -> tuple[bytes, bytes]:
    header = "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition\n"
    annotations = header + "".join(f"MHIST_{number}.png,HP,0,train\n" for number in range(patches))
    images = io.BytesIO()
    with zipfile.ZipFile(images, "w") as archive:
        for number in range(patches):
            archive.writestr(f"images/MHIST_{number}.png", str(number))
    return annotations.encode(), images.getvalue()


class TestMhist:
    @pytest.fixture
    def granted(self, world: World) -> World:
        annotations, images = mhist_files()
        world.server.files |= {"/a.csv": annotations, "/i.zip": images}
        world.environment["MHIST_ANNOTATIONS_URL"] = world.server.url("/a.csv?signature=private")
        world.environment["MHIST_IMAGES_URL"] = world.server.url("/i.zip?signature=private")
        return world

    def test_both_files_and_second_run_does_nothing(self, granted: World) -> None:
        done = granted.run("download_mhist.sh", "--to", str(granted.to))
        assert done.returncode == 0, done.stderr
        assert set(granted.downloaded()) == {"annotations.csv", "images.zip", "downloads.lock"}
        assert "private" not in done.stderr
        again = granted.run("download_mhist.sh", "--to", str(granted.to))
        assert again.stderr.count("there already") == 2 and len(granted.server.requests) == 2

    def test_hash_of_the_grant_is_held_to_and_nothing_is_pinned(self, granted: World) -> None:
        annotations, images = granted.server.files["/a.csv"], granted.server.files["/i.zip"]
        arguments = ["--to", str(granted.to), "--annotations-hash", md5(annotations).upper(), "--images-hash", sha256(images)]
        assert granted.run("download_mhist.sh", *arguments).returncode == 0
        assert not (granted.to / "downloads.lock").exists()
        wrong = granted.run("download_mhist.sh", "--to", str(granted.to), "--images-hash", "0" * 64)
        assert wrong.returncode == 1 and "should be sha256:000" in wrong.stderr

    @pytest.mark.parametrize("path", ["/a.csv", "/i.zip"])
    def test_sign_in_page_is_neither_kept_nor_pinned(self, granted: World, path: str) -> None:
        granted.server.files[path] = b"<html>please sign in</html>"
        done = granted.run("download_mhist.sh", "--to", str(granted.to))
        assert done.returncode == 1
        name = {"/a.csv": "annotations.csv", "/i.zip": "images.zip"}[path]
        lock = granted.to / "downloads.lock"
        assert name not in granted.downloaded() and (not lock.exists() or name not in lock.read_text())

    def test_too_few_patches_are_refused(self, granted: World) -> None:
        granted.server.files["/a.csv"], granted.server.files["/i.zip"] = mhist_files(10)
        done = granted.run("download_mhist.sh", "--to", str(granted.to))
        assert done.returncode == 1 and "has 10 lines and should have 3152" in done.stderr

    def test_refusal_says_to_ask_again(self, granted: World) -> None:
        granted.server.always["/a.csv"] = 403
        assert "ask for access again" in granted.run("download_mhist.sh", "--to", str(granted.to)).stderr

    def test_without_addresses_it_says_where_to_ask(self, world: World) -> None:
        done = world.run("download_mhist.sh", "--to", str(world.to))
        assert done.returncode == 2 and "bmirds.github.io" in done.stderr
