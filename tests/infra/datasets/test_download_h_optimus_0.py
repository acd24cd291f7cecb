"""download_h_optimus_0.sh against a Hub and the store that it redirects to."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from download_world import SECRET, World, sha256
from lying_server import LyingServer
from pathology.contracts.encoder import EncoderManifest

from tests.waiting import MAX_WAIT_SECONDS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestHOptimus:
    @pytest.fixture
    def hub(self, world: World) -> Iterator[World]:
        self.body = os.urandom(200_000)
        self.store = LyingServer(world.root / "certificates" / "server.pem", files={"/blob": self.body})
        for revision in ("main", COMMIT):
            path = f"/bioptimus/H-optimus-0/resolve/{revision}/checkpoint.pth"
            world.server.files[path] = b"a redirect"
            world.server.always[path] = self.store.url("/blob", host="localhost")
            world.server.headers[path] = {
                "X-Linked-Etag": f'"{sha256(self.body)}"',
                "X-Linked-Size": str(len(self.body)),
                "X-Repo-Commit": COMMIT,
                "ETag": '"somethingelse"',
            }
        yield world
        self.store.close()

    def test_checkpoint_and_card_and_second_run_does_nothing(self, hub: World) -> None:
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert done.returncode == 0, done.stderr
        assert hub.downloaded()["checkpoint.pth"] == self.body
        assert json.loads(hub.downloaded()["encoder.json"]) == {"sha256": sha256(self.body), "source": self.origin()}
        again = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert again.returncode == 0 and again.stderr.count("there already") == 2
        assert len(self.store.requests) == 1

    def origin(self) -> dict[str, str]:
        """What the Hub states of the checkpoint."""
        return {"repository": "bioptimus/H-optimus-0", "revision": COMMIT, "sha256": sha256(self.body)}

    def test_a_card_of_before_stays_until_its_origin_is_asked_for(self, hub: World) -> None:
        """Models packed before read it as it is; the command that adds the origin is the project's own, and reads no weights."""
        hub.to.mkdir()
        (hub.to / "checkpoint.pth").write_bytes(self.body)
        (hub.to / "encoder.json").write_bytes(self.card_of_before())
        hub.tool("describing-python", f'#!/bin/bash\n[[ $1 == -c ]] && exit 0\nexec {sys.executable} "$@"\n')
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert done.returncode == 0 and "records no origin" in done.stderr and "--record-origin" in done.stderr
        assert hub.downloaded()["encoder.json"] == self.card_of_before()
        packages = str(Path(__file__).parents[3] / "containers")
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to), "--record-origin", PYTHONPATH=packages)
        assert done.returncode == 0, done.stderr
        manifest = EncoderManifest.from_json(hub.downloaded()["encoder.json"], "encoder.json")
        assert manifest.source is not None and manifest.source.model_dump() == self.origin()
        assert (manifest.name, manifest.verified, manifest.remark) == ("h-optimus-0", True, "")
        assert hub.run("download_h_optimus_0.sh", "--to", str(hub.to)).stderr.count("there already") == 2
        assert self.store.requests == []

    def card_of_before(self) -> bytes:
        arguments = {"img_size": 224, "num_classes": 0, "init_values": 1e-5, "dynamic_img_size": False}
        card = {
            "name": "h-optimus-0",
            "architecture": "vit_giant_patch14_reg4_dinov2",
            "arguments": arguments,
            "sha256": sha256(self.body),
            "dimension": 1536,
            "published": True,
        }
        return json.dumps(card).encode()

    def test_in_s3_too_the_origin_is_added_without_the_checkpoint(self, hub: World) -> None:
        to = "s3://bucket/models/h-optimus-0"
        assert hub.run("download_h_optimus_0.sh", "--to", to, DESCRIBE_ABSENT="1").returncode == 0
        card = hub.root / "s3/bucket/models/h-optimus-0/encoder.json"
        card.write_bytes(self.card_of_before())
        assert "records no origin" in hub.run("download_h_optimus_0.sh", "--to", to).stderr
        assert card.read_bytes() == self.card_of_before()
        done = hub.run("download_h_optimus_0.sh", "--to", to, "--record-origin")
        assert done.returncode == 0, done.stderr
        assert json.loads(card.read_bytes())["source"] == self.origin()
        assert len(self.store.requests) == 1

    def test_the_card_of_another_checkpoint_is_not_kept_for_this_one(self, hub: World) -> None:
        card = hub.root / "s3/bucket/models/encoder.json"
        card.parent.mkdir(parents=True)
        card.write_bytes(self.card_of_before().replace(sha256(self.body).encode(), b"0" * 64))
        done = hub.run("download_h_optimus_0.sh", "--to", "s3://bucket/models")
        assert done.returncode == 0, done.stderr
        assert json.loads(card.read_bytes()) == {"sha256": sha256(self.body), "source": self.origin()}

    def test_token_goes_to_the_hub_alone_and_is_never_said(self, hub: World) -> None:
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert {request.authorization for request in hub.server.requests} == {f"Bearer {SECRET}"}
        assert [request.authorization for request in self.store.requests] == [""]
        assert SECRET not in done.stderr + done.stdout
        assert all(SECRET.encode() not in path.read_bytes() for path in hub.root.rglob("*") if path.is_file())

    def test_token_is_on_no_command_line(self, hub: World) -> None:
        """While a transfer stands still, and to its end."""
        self.store.lies["/blob"] = ["stall"]
        command = ["bash", str(hub.scripts / "download_h_optimus_0.sh"), "--to", str(hub.to)]
        environment = hub.environment | {"DOWNLOAD_STALL_SECONDS": str(round(2 * MAX_WAIT_SECONDS))}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        seen: set[str] = set()
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if str(hub.root) in line:
                    seen.add(line)
            if self.store.gets("/blob") and any(line.startswith("curl") for line in seen):
                self.store.released.set()
            time.sleep(0.02)
        assert process.returncode == 0
        assert any(line.startswith("curl") for line in seen)
        assert not any(SECRET in line for line in seen)

    def test_flipped_byte_is_refused(self, hub: World) -> None:
        self.store.lies["/blob"] = ["flip"]
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert done.returncode == 1 and "should be sha256:" in done.stderr and hub.downloaded() == {}

    def test_cut_is_resumed(self, hub: World) -> None:
        self.store.lies["/blob"] = ["cut"]
        assert hub.run("download_h_optimus_0.sh", "--to", str(hub.to)).returncode == 0
        assert [request.range for request in self.store.requests] == ["", "bytes=100000-"]

    def test_hub_that_states_no_hash_is_refused(self, hub: World) -> None:
        path = "/bioptimus/H-optimus-0/resolve/main/checkpoint.pth"
        hub.server.headers[path]["X-Linked-Etag"] = '"' + "a" * 40 + '"'  # a git blob's, not a file's sha256
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert done.returncode == 1 and "states no sha256" in done.stderr and self.store.requests == []

    @pytest.mark.parametrize("status", [401, 403])
    def test_terms_not_accepted(self, hub: World, status: int) -> None:
        hub.server.always["/bioptimus/H-optimus-0/resolve/main/checkpoint.pth"] = status
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to))
        assert done.returncode == 1 and "accept the terms" in done.stderr and len(hub.server.requests) == 1

    @pytest.mark.parametrize("token", ["", 'x"\nurl = "https://elsewhere', "a b"])
    def test_no_token_or_none_that_could_be_one(self, hub: World, token: str) -> None:
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to), HF_TOKEN=token)
        assert done.returncode == 2 and "HF_TOKEN" in done.stderr and hub.server.requests == []

    def test_without_the_project_it_says_the_command(self, hub: World) -> None:
        done = hub.run("download_h_optimus_0.sh", "--to", str(hub.to), DESCRIBE_ABSENT="1")
        stated = f"--repository bioptimus/H-optimus-0 --revision {COMMIT} --sha256 {sha256(self.body)}"
        assert done.returncode == 0 and f"python -m pathology.encoders.describe FOLDER {stated}" in done.stderr

    def test_the_command_that_it_runs_and_says_is_the_projects(self, tmp_path: Path) -> None:
        from pathology.encoders.describe import main

        stated = ["--repository", "bioptimus/H-optimus-0", "--revision", COMMIT, "--sha256", "a" * 64]
        assert main([str(tmp_path), *stated]) == 1  # no checkpoint.pth there

    def test_to_s3_with_its_card(self, hub: World) -> None:
        done = hub.run("download_h_optimus_0.sh", "--to", "s3://bucket/models/h-optimus-0")
        assert done.returncode == 0, done.stderr
        assert set(hub.objects()) == {f"bucket/models/h-optimus-0/{name}" for name in ("checkpoint.pth", "encoder.json")}
        written = {path: path.stat().st_mtime_ns for path in (hub.root / "s3").rglob("*.*")}
        again = hub.run("download_h_optimus_0.sh", "--to", "s3://bucket/models/h-optimus-0")
        assert again.stderr.count("there already") == 2
        assert {path: path.stat().st_mtime_ns for path in written} == written
