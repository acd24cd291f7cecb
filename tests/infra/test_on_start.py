"""on-start.sh on a notebook whose mount, mountpoint, findmnt and chown are small scripts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.waiting import MAX_WAIT_SECONDS, until

SCRIPT = Path(__file__).parents[2] / "infra" / "lifecycle" / "on-start.sh"
FILE_SYSTEM = "fs-0123456789abcdef0"
SOURCE = f"{FILE_SYSTEM}.efs.eu-west-1.amazonaws.com:/"
OPTIONS = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"
ROOTS = ("models", "datasets", "features")
FOREVER = round(2 * MAX_WAIT_SECONDS)
LIMIT_S = 5 * 60  # SageMaker's, for the whole start
LIMIT_CHARACTERS = 16384

# The nth call of mount does what the nth line of the plan says; past its end, what the last line says.
MOUNT = (
    f"""
FOREVER={FOREVER}
"""
    + """
echo "$*" >>"$WORLD/mounts"
line=$(sed -n "$(wc -l <"$WORLD/mounts")p" "$WORLD/plan")
line=${line:-$(tail -n 1 "$WORLD/plan")}
case $line in
ok*) printf '%s\\n' "${@: -2:1}" >"$WORLD/mounted" ;;
hang) sleep "$FOREVER" ;;
stubborn) trap '' TERM; sleep "$FOREVER" & wait; sleep "$FOREVER" ;;
late) printf '%s\\n' "${@: -2:1}" >"$WORLD/mounted"; exit 124 ;;
*) echo "$line" >&2; exit 32 ;;
esac
"""
)
FAKES = {
    "mount": MOUNT,
    "mountpoint": f'[[ ! -e $WORLD/dead ]] || sleep {FOREVER}; echo "$*" >>"$WORLD/asked"; test -s "$WORLD/mounted"',
    "findmnt": 'cat "$WORLD/mounted"',
    "chown": 'echo "$*" >>"$WORLD/chowned"',
}


class Notebook:
    """A folder for its disk and its share, the fakes on its PATH, and what the worker logged."""

    def __init__(self, root: Path):
        self.root = root
        self.efs = root / "SageMaker" / "efs"
        tools = root / "tools"
        tools.mkdir()
        for name, body in FAKES.items():
            (tools / name).write_text(f"#!/bin/bash\n{body}\n")
            (tools / name).chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "WORLD": str(root),
            "EFS_ID": FILE_SYSTEM,
            "AWS_REGION": "eu-west-1",
            "EFS_MOUNT_POINT": str(self.efs),
            "EFS_LOG": str(root / "log"),
            "EFS_LOCK": str(root / "lock"),
            "EFS_TRY_SECONDS": str(FOREVER),
            "EFS_PAUSE_SECONDS": "0",
            "EFS_GIVE_UP_SECONDS": str(FOREVER),
        }
        self.plan("ok")

    def plan(self, *lines: str) -> None:
        (self.root / "plan").write_text("\n".join(lines) + "\n")

    def start(self) -> str:
        """What the start prints; it has to come back whatever the worker does."""
        done = subprocess.run(
            ["bash", str(SCRIPT)], env=self.environment, capture_output=True, text=True, timeout=MAX_WAIT_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self) -> str:
        log = self.root / "log"
        return log.read_text() if log.exists() else ""

    def wait_for(self, text: str, times: int = 1) -> str:
        until(lambda: self.log().count(text) >= times, lambda: f"'{text}' in:\n{self.log()}")
        return self.log()

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path)


def test_fits_the_limit_and_cannot_stop_half_way() -> None:
    text = SCRIPT.read_text()
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert len(text) < LIMIT_CHARACTERS - 2000  # room for the template's exports
    assert not any("set -" in line for line in code)
    assert code[-1] == "exit 0"
    assert text.isascii()


def test_gives_up_in_the_end_and_one_try_is_much_shorter_than_the_limit() -> None:
    probe = 'source <(grep "^EFS_.*SECONDS=" "$0"); echo $EFS_TRY_SECONDS $EFS_PAUSE_SECONDS $EFS_GIVE_UP_SECONDS'
    answer = subprocess.run(["bash", "-c", probe, str(SCRIPT)], capture_output=True, text=True, check=True).stdout
    one_try, pause, give_up = map(int, answer.split())
    assert one_try < LIMIT_S and pause > 0
    assert one_try + pause < give_up < 24 * 3600


def test_quick_mount(notebook: Notebook) -> None:
    assert str(notebook.root / "log") in notebook.start()
    notebook.wait_for(" done")
    assert notebook.lines("mounts") == [f"-t nfs4 -o {OPTIONS} {SOURCE} {notebook.efs}"]
    for root in ROOTS:
        assert (notebook.efs / root).stat().st_mode & 0o7777 == 0o1777
    assert notebook.lines("chowned") == [f"ec2-user: {notebook.efs}/{root}" for root in ROOTS]


def test_the_log_is_for_everybody_to_read(notebook: Notebook) -> None:
    notebook.start()
    notebook.wait_for(" done")
    assert (notebook.root / "log").stat().st_mode & 0o777 == 0o644


def test_flaky_mount_is_tried_again(notebook: Notebook) -> None:
    notebook.plan("mount.nfs4: Connection timed out", "mount.nfs4: Failed to resolve server", "ok")
    notebook.start()
    log = notebook.wait_for(" done")
    assert len(notebook.lines("mounts")) == 3
    assert "port 2049" in log and "mount target in this zone" in log
    assert (notebook.efs / "models").is_dir()


@pytest.mark.parametrize("kind", ["hang", "stubborn"])
def test_hanging_mount_blocks_nothing_and_is_killed_and_tried_again(notebook: Notebook, kind: str) -> None:
    """No mount comes to an end by itself until the start is long over and the first of them was killed."""
    notebook.environment["EFS_TRY_SECONDS"] = "1"
    notebook.plan(kind)
    notebook.start()
    assert not (notebook.efs / "models").exists()
    log = notebook.wait_for("try failed")
    assert "try failed (exit 124)" in log or "try failed (exit 137)" in log
    assert "port 2049" in log
    notebook.plan("ok")
    notebook.wait_for(" done")
    assert len(notebook.lines("mounts")) >= 2
    assert (notebook.efs / "models").is_dir()


def test_mount_killed_after_it_did_its_work_counts(notebook: Notebook) -> None:
    """It ends as timeout has it end."""
    notebook.plan("late")
    notebook.start()
    assert "try failed" not in notebook.wait_for(" done")
    assert len(notebook.lines("mounts")) == 1


def test_no_directory_is_made_on_the_notebooks_own_disk(notebook: Notebook) -> None:
    notebook.environment["EFS_GIVE_UP_SECONDS"] = "0"
    notebook.plan("mount.nfs4: access denied by server while mounting")
    notebook.start()
    log = notebook.wait_for("gave up after 0 s")
    assert "ClientRootAccess" in log
    assert list(notebook.efs.iterdir()) == []


def test_mounted_already_is_left_and_only_missing_directories_are_made(notebook: Notebook) -> None:
    (notebook.root / "mounted").write_text(f"{SOURCE}\n")
    (notebook.efs / "models").mkdir(parents=True, mode=0o750)
    notebook.start()
    notebook.wait_for(" done")
    assert notebook.lines("mounts") == []
    assert (notebook.efs / "models").stat().st_mode & 0o7777 == 0o750
    assert [path.split("/")[-1] for path in notebook.lines("chowned")] == ["datasets", "features"]


def test_second_start_after_a_stop_mounts_again_and_keeps_the_directories(notebook: Notebook) -> None:
    notebook.start()
    notebook.wait_for(" done")
    (notebook.efs / "models" / "checkpoint.pth").write_text("weights")
    (notebook.root / "mounted").unlink()  # a stopped notebook has no mounts
    notebook.start()
    log = notebook.wait_for(" done", times=2)
    assert len(notebook.lines("mounts")) == 2
    assert log.count("/models is there") == 1
    assert (notebook.efs / "models" / "checkpoint.pth").read_text() == "weights"
    assert len(notebook.lines("chowned")) == 3


def test_never_two_workers_at_once(notebook: Notebook) -> None:
    notebook.plan("hang")
    notebook.environment["EFS_TRY_SECONDS"] = "1"
    notebook.start()
    notebook.wait_for("starts")
    notebook.start()
    notebook.wait_for("another worker is at it")
    notebook.plan("ok")
    log = notebook.wait_for(" done")
    assert log.count("starts") == log.count(" done") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("EFS_ID", ""), ("EFS_ID", "fs-12 -o sync"), ("EFS_ID", "vol-0123456789abcdef0"), ("AWS_REGION", "Ireland")],
)
def test_wrong_value_is_said_and_nothing_is_mounted(notebook: Notebook, name: str, value: str) -> None:
    notebook.environment[name] = value
    notebook.start()
    assert f"error: {name} '{value}'" in notebook.wait_for("error")
    assert notebook.lines("mounts") == []


def test_wrong_but_well_formed_id_is_given_up_with_the_reason(notebook: Notebook) -> None:
    notebook.environment |= {"EFS_ID": "fs-0000000000000bad0", "EFS_GIVE_UP_SECONDS": "1", "EFS_PAUSE_SECONDS": "1"}
    notebook.plan("mount.nfs4: Failed to resolve server fs-0000000000000bad0: Name or service not known")
    notebook.start()
    assert "is EFS_ID right" in notebook.wait_for("gave up")


def test_another_file_system_there_is_not_taken_for_ours(notebook: Notebook) -> None:
    (notebook.root / "mounted").write_text("fs-ffffffffffffffff0.efs.eu-west-1.amazonaws.com:/\n")
    notebook.start()
    assert "unmount it" in notebook.wait_for("error")
    assert notebook.lines("mounts") == [] and not notebook.efs.exists()


def test_directory_outside_the_share_is_refused_and_the_rest_made(notebook: Notebook) -> None:
    notebook.environment["EFS_DIRECTORIES"] = "/../escaped relative /models"
    notebook.start()
    log = notebook.wait_for("/models made")
    assert "error: EFS_DIRECTORIES has '/../escaped'" in log and "has 'relative'" in log
    assert not (notebook.efs.parent / "escaped").exists()
    assert " done" not in log


def test_share_that_stopped_answering_is_said(notebook: Notebook, tmp_path: Path) -> None:
    fast = tmp_path / "tools" / "timeout"  # ten seconds of waiting cut to one
    fast.write_text(f'#!/bin/bash\nshift 3\nexec {shutil.which("timeout")} -k 1 1 "$@"\n')
    fast.chmod(0o755)
    (notebook.root / "dead").touch()
    notebook.start()
    assert "does not answer" in notebook.wait_for("error")
    assert notebook.lines("mounts") == []


def test_log_that_cannot_be_written_does_not_stop_the_start(notebook: Notebook) -> None:
    notebook.environment["EFS_LOG"] = str(notebook.root / "absent" / "log")
    assert "cannot be written" in notebook.start()


def test_regions_of_china_have_another_domain(notebook: Notebook) -> None:
    notebook.environment["AWS_REGION"] = "cn-north-1"
    notebook.start()
    notebook.wait_for(" done")
    assert f"{FILE_SYSTEM}.efs.cn-north-1.amazonaws.com.cn:/" in notebook.lines("mounts")[0]
