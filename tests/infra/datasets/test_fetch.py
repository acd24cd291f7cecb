"""fetch.sh, the part of all download scripts that fetches and delivers."""

import fcntl
import os
import signal
import subprocess

import pytest
from download_world import DATASETS, World, sha256
from lying_server import LyingServer, make_certificates

from tests.waiting import MAX_WAIT_SECONDS, until

NEVER = str(round(2 * MAX_WAIT_SECONDS))
"""Seconds after which nothing happens in a test."""


class TestFetch:
    def test_whole_and_second_run_does_nothing(self, world: World) -> None:
        assert world.take().code == 0
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}
        again = world.take()
        assert again.code == 0 and "there already" in again.output and "checking" not in again.output
        assert len(world.server.requests) == 1

    def test_untrusted_certificate_is_refused(self, world: World) -> None:
        stranger = LyingServer(make_certificates(world.root / "strangers")[1], files=world.files)
        run = world.take(url=stranger.url("/one"))
        stranger.close()
        assert run.code == 1 and "certificate is not trusted" in run.error
        assert world.downloaded() == {} and stranger.requests == []

    def test_certificate_of_another_host_is_refused(self, world: World) -> None:
        trusted, server_pem = make_certificates(world.root / "other", hosts=("elsewhere.example",))
        other = LyingServer(server_pem, files=world.files)
        run = world.take(url=other.url("/one"), CURL_CA_BUNDLE=str(trusted))
        other.close()
        assert run.code == 1 and "certificate" in run.error and other.requests == []

    def test_curlrc_cannot_weaken_it(self, world: World) -> None:
        (world.root / ".curlrc").write_text("insecure\n")
        stranger = LyingServer(make_certificates(world.root / "strangers")[1], files=world.files)
        run = world.take(url=stranger.url("/one"))
        stranger.close()
        assert run.code == 1 and world.downloaded() == {}

    def test_flipped_byte_is_refused_and_nothing_is_left(self, world: World) -> None:
        world.server.lies["/one"] = ["flip"]
        run = world.take()
        assert run.code == 1 and "should be md5:" in run.error
        assert world.downloaded() == {} and not (world.to / "sub").exists()
        assert world.take().code == 0

    def test_cut_transfer_is_resumed(self, world: World) -> None:
        world.server.lies["/one"] = ["cut", "cut"]
        run = world.take()
        assert run.code == 0, run.output
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}
        assert [request.range for request in world.server.gets("/one")] == ["", "bytes=150000-", "bytes=225000-"]

    def test_killed_run_is_resumed_by_the_next_and_has_no_final_name(self, world: World) -> None:
        world.server.lies["/one"] = ["cut"]
        assert world.take(DOWNLOAD_TRIES="1").code == 1
        assert list(world.downloaded()) == ["sub/.one.bin.partial"]
        assert world.take().code == 0
        assert world.server.gets("/one")[-1].range == "bytes=150000-"
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}

    def test_run_killed_outright_leaves_no_final_name_and_is_resumed(self, world: World) -> None:
        world.server.lies["/one"] = ["stall"]
        code = 'source "$0"; open_destination "$1"; take "$2" sub/one.bin "" ""'
        command = ["bash", "-c", code, str(world.scripts / "fetch.sh"), str(world.to), world.server.url("/one")]
        environment = world.environment | {"DOWNLOAD_STALL_SECONDS": NEVER}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        partial = world.to / "sub" / ".one.bin.partial"
        until(lambda: process.poll() is not None or (partial.exists() and partial.stat().st_size > 50_000), "bytes of the file")
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with (world.to / ".downloads.busy").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # until the last process of the run has gone
        assert "sub/one.bin" not in world.downloaded()
        assert world.take().code == 0
        assert world.server.gets("/one")[-1].range.startswith("bytes=")
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}

    def test_progress_earns_more_tries_and_none_ends_them(self, world: World) -> None:
        world.server.lies["/one"] = ["cut"] * 5
        assert world.take(DOWNLOAD_TRIES="2").code == 0
        world.server.always["/one"] = 503
        run = world.take(hash="md5:" + "0" * 32)
        assert run.code == 1 and "given up after 3 tries" in run.error and "503" in run.error

    def test_damage_in_what_was_resumed_is_fetched_once_more_from_the_start(self, world: World) -> None:
        world.server.lies["/one"] = ["cut", "alien"]
        run = world.take()
        assert run.code == 0 and "once more from the start" in run.output
        assert world.server.gets("/one")[-1].range == ""
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}

    def test_server_without_ranges_sends_it_all_again(self, world: World) -> None:
        world.server.lies["/one"] = ["cut"]
        world.server.always["/one"] = "whole"
        assert world.take().code == 0
        assert world.downloaded() == {"sub/one.bin": world.files["/one"]}

    @pytest.mark.parametrize(
        ("status", "words"), [(404, "not there (404)"), (403, "refused (403)"), (410, "not there"), (400, "400")]
    )
    def test_what_another_try_cannot_fix_is_not_tried_again(self, world: World, status: int, words: str) -> None:
        world.server.always["/one"] = status
        run = world.take()
        assert run.code == 1 and words in run.error
        assert len(world.server.requests) == 1 and world.downloaded() == {}

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    def test_what_another_try_may_fix_is_tried_again(self, world: World, status: int) -> None:
        world.server.lies["/one"] = [status, status]
        assert world.take().code == 0 and len(world.server.requests) == 3

    def test_slow_transfer_goes_on_and_says_how_far_it_is(self, world: World) -> None:
        world.server.lies["/one"] = ["slow"]
        run = world.take(size="300000", DOWNLOAD_PROGRESS_SECONDS="0.1")
        assert run.code == 0 and len(world.server.requests) == 1
        assert " of 300000 bytes" in run.output

    def test_no_transfer_has_to_end_by_a_time(self) -> None:
        text = (DATASETS / "fetch.sh").read_text()
        assert "--speed-time" in text and "--max-time" not in text and " -m " not in text

    def test_stalled_transfer_is_given_up_and_resumed(self, world: World) -> None:
        """A small file: curl judges by the mean of some seconds."""
        world.files["/one"] = world.server.files["/one"] = os.urandom(600)
        world.server.lies["/one"] = ["stall"]
        run = world.take(DOWNLOAD_STALL_SECONDS="1")
        assert run.code == 0, run.output
        assert [request.range for request in world.server.gets("/one")] == ["", "bytes=300-"]

    def test_redirect_to_http_is_refused(self, world: World) -> None:
        plain = LyingServer(None, files=world.files)
        world.server.lies["/one"] = [plain.url("/one")]
        run = world.take()
        plain.close()
        assert run.code == 1 and "not https" in run.error
        assert plain.requests == [] and world.downloaded() == {}

    def test_redirect_to_https_is_followed(self, world: World) -> None:
        world.server.files["/two"] = world.files["/one"]
        world.server.lies["/one"] = [world.server.url("/two")]
        assert world.take().code == 0 and world.downloaded() == {"sub/one.bin": world.files["/one"]}

    @pytest.mark.parametrize("url", ["http://127.0.0.1/one", "file:///etc/passwd", 'https://a/"\nproxy = "http://b', "ftp://a/b"])
    def test_address_that_is_not_https_is_refused(self, world: World, url: str) -> None:
        run = world.take(url=url)
        assert run.code == 2 and "https" in run.error and world.downloaded() == {}

    def test_wrong_size_is_refused(self, world: World) -> None:
        run = world.take(size="300001")
        assert run.code == 1 and "should have 300001" in run.error and world.downloaded() == {}

    def test_unpublished_hash_is_pinned_and_held_to(self, world: World) -> None:
        first = world.take(hash="")
        assert first.code == 0 and "nobody publishes its hash" in first.output
        assert (world.to / "downloads.lock").read_text() == f"sha256:{sha256(world.files['/one'])}\tsub/one.bin\n"
        assert "there already" in world.take(hash="").output
        (world.to / "sub" / "one.bin").unlink()
        world.server.files["/one"] = b"changed behind the address"
        run = world.take(hash="")
        assert run.code == 1 and "should be sha256:" in run.error and "sub/one.bin" not in world.downloaded()

    def test_file_damaged_since_is_replaced(self, world: World) -> None:
        world.take()
        (world.to / "sub" / "one.bin").write_bytes(b"overwritten")
        run = world.take()
        assert run.code == 0 and "is replaced" in run.output
        assert world.downloaded()["sub/one.bin"] == world.files["/one"]

    def test_right_file_put_there_by_hand_is_checked_and_kept(self, world: World) -> None:
        (world.to / "sub").mkdir(parents=True)
        (world.to / "sub" / "one.bin").write_bytes(world.files["/one"])
        run = world.take()
        assert run.code == 0 and "checking it" in run.output and world.server.requests == []

    def test_missing_parent_is_refused_since_efs_may_not_be_mounted(self, world: World) -> None:
        world.to = world.root / "not-mounted" / "data"
        run = world.take()
        assert run.code == 2 and "is EFS mounted?" in run.error and not world.to.parent.exists()

    def test_never_two_at_once_in_one_place(self, world: World) -> None:
        world.to.mkdir()
        with (world.to / ".downloads.busy").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            run = world.take()
        assert run.code != 0 and "another download" in run.error
        assert world.take().code == 0


class TestS3:
    def test_upload_with_its_hash_and_second_run_does_nothing(self, world: World) -> None:
        world.to = "s3://bucket/raw/tcga"  # type: ignore[assignment]
        assert world.take().code == 0
        assert world.objects() == {"bucket/raw/tcga/sub/one.bin": world.files["/one"]}
        again = world.take()
        assert again.code == 0 and "there already" in again.output
        assert world.calls("s3", "cp") == 1 and len(world.server.requests) == 1
        assert not list((world.root / "scratch").rglob("*one.bin*"))

    def test_object_of_another_hash_or_without_one_is_replaced(self, world: World) -> None:
        world.to = "s3://bucket/raw"  # type: ignore[assignment]
        path = world.root / "s3" / "bucket" / "raw" / "sub" / "one.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"?" * 300_000)
        assert world.take().code == 0 and path.read_bytes() == world.files["/one"]

    def test_cut_on_the_way_is_resumed_by_the_next_run(self, world: World) -> None:
        world.to = "s3://bucket/raw"  # type: ignore[assignment]
        world.server.lies["/one"] = ["cut"]
        assert world.take(DOWNLOAD_TRIES="1").code == 1 and world.objects() == {}
        assert world.take().code == 0 and world.server.gets("/one")[-1].range == "bytes=150000-"

    def test_flipped_byte_never_reaches_it(self, world: World) -> None:
        world.to = "s3://bucket/raw"  # type: ignore[assignment]
        world.server.lies["/one"] = ["flip"]
        assert world.take().code == 1
        assert world.calls("s3", "cp") == 0

    @pytest.mark.parametrize("call", ["s3 cp", "s3api head-object"])
    def test_refusal_is_one_line_and_exit_1(self, world: World, call: str) -> None:
        world.to = "s3://bucket/raw"  # type: ignore[assignment]
        (world.root / "aws.refuses").write_text(call)
        run = world.take()
        assert run.code == 1 and "s3://bucket/raw" in run.error

    def test_pins_are_kept_there_too(self, world: World) -> None:
        world.to = "s3://bucket/raw"  # type: ignore[assignment]
        assert world.take(hash="").code == 0
        assert world.objects()["bucket/raw/downloads.lock"] == f"sha256:{sha256(world.files['/one'])}\tsub/one.bin\n".encode()
        assert "there already" in world.take(hash="").output

    @pytest.mark.parametrize("to", ["s3://", "s3://B/x", "s3://bucket/a b", "s3:bucket"])
    def test_other_addresses_are_refused(self, world: World, to: str) -> None:
        world.to = to  # type: ignore[assignment]
        assert world.take().code == 2


@pytest.mark.parametrize("script", sorted(path.name for path in DATASETS.glob("download_*.sh")))
class TestEveryScript:
    def test_help_and_nonsense(self, world: World, script: str) -> None:
        help = world.run(script, "--help")
        assert help.returncode == 0 and help.stderr.startswith("usage: ")
        nonsense = world.run(script, "--insecure")
        assert nonsense.returncode == 2 and "'--insecure' is not understood" in nonsense.stderr
        assert "wants a value" in world.run(script, "--to").stderr

    def test_tls_is_nowhere_weakened(self, script: str) -> None:
        for text in ((DATASETS / script).read_text(), (DATASETS / "fetch.sh").read_text()):
            assert "--insecure" not in text and " -k" not in text and "no-check-certificate" not in text
            calls = [line for line in text.splitlines() if line.strip().startswith("curl ")]
            assert all(line.strip().startswith("curl -q ") for line in calls)
