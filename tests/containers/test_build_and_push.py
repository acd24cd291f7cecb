"""build_and_push.sh against an account, a Docker and a git that are three small scripts and a folder."""

import os
import shutil
import subprocess
from pathlib import Path
from shlex import quote

import pytest

from tests.waiting import MAX_WAIT_SECONDS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = "registry.example/python:3.12-slim"
BASE_DIGEST, IMAGE_DIGEST, THEIRS = (f"sha256:{letter * 64}" for letter in "abc")
REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/pathology-cucim-tiler"
SECRET = "the-password-of-the-registry"

TOOL = r"""
show() { local text; IFS= read -r -d '' text <"$1"; printf %s "$text"; }  # with the line's end
stdin=
[[ " $* " == *" --password-stdin "* ]] && IFS= read -r -d '' stdin
printf '%s\0' "$tool" "$stdin" "$#" "$@" >>"$world/calls"
plain="$tool $*"
for rule in "$world"/rules/*; do  # a test's own answer comes before the world's
    [[ -d $rule && $plain == "$(<"$rule/start")"* ]] || continue
    show "$rule/out"
    show "$rule/err" >&2
    exit "$(<"$rule/code")"
done
no() { echo "An error occurred ($1) when calling the operation: it is not there" >&2; exit 1; }
repository=$world/repository pushed=$world/pushed
case $plain in
"git status"*) show "$world/changes" ;;
"git rev-parse"*) echo "$commit" ;;
"aws configure get region"*) echo us-east-1 ;;
"aws sts get-caller-identity"*) echo 111122223333 ;;
"aws ecr describe-repositories"*) [[ -e $repository ]] || no RepositoryNotFoundException; echo "$(<"$repository")" ;;
"aws ecr create-repository"*)
    [[ $plain =~ " --image-tag-mutability "([A-Z]+) ]] || exit 1
    printf %s "${BASH_REMATCH[1]}" >"$repository" ;;
"aws ecr describe-images"*) [[ -e $pushed ]] || no ImageNotFoundException; echo "$(<"$pushed")" ;;
"aws ecr get-login-password"*) echo "$secret" ;;
"docker buildx imagetools inspect"*) echo "\"$base_digest\"" ;;
"docker push"*)
    [[ -e $world/race ]] || { printf %s "$digest" >"$pushed"; echo "the layers are pushed"; exit; }
    printf %s "$(<"$world/race")" >"$pushed"
    echo "tag invalid: the image tag already exists and cannot be overwritten because the repository is immutable" >&2
    exit 1 ;;
"docker buildx build"*) printf %s "$PWD" >"$world/built-in"; echo "a chatty build" ;;
esac
"""


class World:
    """A checkout with an image's folder, the fake tools before all others, and what they were asked."""

    def __init__(self, root: Path, script: Path):
        self.root = root
        self.containers = root / "checkout" / "containers"
        self.image = self.containers / "cucim-tiler"
        self.tools = root / "tools"
        self.tools.mkdir()
        self.image.mkdir(parents=True)
        shutil.copy(script, self.containers)
        (self.image / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
        (self.image / "base.txt").write_text(f"{BASE}\n")
        self.lock.write_text(f"{BASE}@{BASE_DIGEST}\n")
        (root / "changes").write_text("")
        for tool in ("aws", "docker", "git"):
            self.add_tool(tool)
        for tool in ("bash", "dirname", "mktemp", "tr", "rm", "mv", "cat", "head"):
            (self.tools / tool).symlink_to(shutil.which(tool))

    @property
    def lock(self) -> Path:
        return self.image / "base.lock"

    def add_tool(self, tool):
        """In bash, which starts in a tenth of Python's time: a push calls a dozen."""
        values = {"commit": COMMIT, "secret": SECRET, "base_digest": BASE_DIGEST, "digest": IMAGE_DIGEST}
        known = "\n".join(f"{name}={quote(str(value))}" for name, value in ({"world": self.root, "tool": tool} | values).items())
        (self.tools / tool).write_text(f"#!{shutil.which('bash')}\n{known}\n{TOOL}")
        (self.tools / tool).chmod(0o755)

    def answer(self, start, code=0, out="", err=""):
        """What a call that starts with these words does from now on."""
        rule = self.root / "rules" / start.replace(" ", "-")
        rule.mkdir(parents=True, exist_ok=True)
        for name, content in {"start": start, "code": code, "out": out, "err": err}.items():
            (rule / name).write_text(str(content))

    def run(self, *arguments, **environment):
        env = {"PATH": str(self.tools), "HOME": str(self.root), **environment}
        command = [str(self.containers / "build_and_push.sh"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=env, cwd=self.root, check=False, timeout=MAX_WAIT_SECONDS
        )

    def calls(self):
        """(tool, its words, what it read) of every call."""
        log = self.root / "calls"
        left = log.read_text().split("\0")[:-1] if log.exists() else []
        calls = []
        while left:
            (tool, stdin, count), left = left[:3], left[3:]
            calls.append((tool, left[: int(count)], stdin))
            left = left[int(count) :]
        return calls

    def called(self, start):
        return [words for tool, words, _ in self.calls() if " ".join([tool, *words]).startswith(start)]


@pytest.fixture
def world(tmp_path, repository):
    return World(tmp_path, repository / "containers" / "build_and_push.sh")


def refused(done, code, message):
    """It ended with this code, one error line that says this, and nothing on standard output."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, done.stdout, len(errors)) == (code, "", 1), done.stderr
    assert message in errors[0]


def test_the_first_push_builds_on_the_locked_base_and_prints_the_digest(world):
    done = world.run("cucim-tiler")
    assert (done.returncode, done.stdout) == (0, f"{IMAGE}@{IMAGE_DIGEST}\n"), done.stderr
    [build] = world.called("docker buildx build")
    assert f"BASE={BASE}@{BASE_DIGEST}" in build
    assert f"org.opencontainers.image.revision={COMMIT}" in build
    assert {"--provenance=false", "linux/amd64", f"{IMAGE}:{COMMIT[:12]}", "cucim-tiler/Dockerfile"} <= set(build)
    assert world.called("docker push") == [["push", f"{IMAGE}:{COMMIT[:12]}"]]
    assert world.called("docker buildx imagetools") == []


def test_the_context_is_the_checkout_wherever_the_script_is_called(world):
    """Its root has the licence. Dockerfile.dockerignore is looked for beside the Dockerfile."""
    world.run("cucim-tiler")
    folder = Path((world.root / "built-in").read_text())
    [build] = world.called("docker buildx build")
    assert (folder / build[-1]).resolve() == world.containers.parent
    assert (folder / build[build.index("--file") + 1]).resolve() == world.image / "Dockerfile"


def test_a_missing_repository_is_made_with_tags_that_cannot_move(world):
    world.run("cucim-tiler")
    [made] = world.called("aws ecr create-repository")
    assert made[made.index("--repository-name") + 1] == "pathology-cucim-tiler"
    assert made[made.index("--image-tag-mutability") + 1] == "IMMUTABLE"
    assert made[made.index("--image-scanning-configuration") + 1] == "scanOnPush=true"


def test_a_second_run_builds_nothing(world):
    first = world.run("cucim-tiler")
    before = len(world.calls())
    second = world.run("cucim-tiler")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    again = [" ".join([tool, *words[:2]]) for tool, words, _ in world.calls()[before:]]
    assert not {"docker buildx build", "docker push", "docker login", "aws ecr create-repository"} & set(again)


def test_no_secret_is_an_argument(world):
    world.run("cucim-tiler")
    assert all(SECRET not in " ".join(words) for _, words, _ in world.calls())
    [login] = [stdin for _, words, stdin in world.calls() if words[:1] == ["login"]]
    assert login.strip() == SECRET


def test_uncommitted_changes_are_refused(world):
    (world.root / "changes").write_text(" M README.md\n?? notes.txt\n")
    refused(world.run("cucim-tiler"), 2, "uncommitted changes ( M README.md)")
    assert world.called("aws") == world.called("docker push") == []


def test_a_missing_lock_is_written_and_the_run_stops(world):
    world.lock.unlink()
    refused(world.run("cucim-tiler"), 3, "commit it and run again")
    assert world.lock.read_text() == f"{BASE}@{BASE_DIGEST}\n"
    assert world.called("docker buildx build") == world.called("aws") == []
    assert world.run("cucim-tiler").returncode == 0
    assert len(world.called("docker buildx imagetools")) == 1


@pytest.mark.parametrize(
    ("code", "out", "message"),
    [(1, "", f"docker cannot find {BASE}"), (0, "Name: a listing\n", "docker gave no digest"), (0, "", "docker gave no digest")],
)
def test_no_lock_is_written_without_a_digest(world, code, out, message):
    world.lock.unlink()
    world.answer("docker buildx imagetools", code, out)
    refused(world.run("cucim-tiler"), 1, message)
    assert not world.lock.exists()


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (f"registry.example/python:3.11-slim@{BASE_DIGEST}", f"wants {BASE}"),
        (BASE, "not one line"),
        (f"{BASE}@{BASE_DIGEST}\n{BASE}@{IMAGE_DIGEST}", "not one line"),
        ("", "not one line"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused_and_kept(world, lock, message):
    world.lock.write_text(lock)
    refused(world.run("cucim-tiler"), 2, message)
    assert world.lock.read_text() == lock
    assert world.called("docker buildx build") == []


def test_who_loses_the_race_takes_the_winners_digest(world):
    (world.root / "race").write_text(THEIRS)
    done = world.run("cucim-tiler")
    assert (done.returncode, done.stdout) == (0, f"{IMAGE}@{THEIRS}\n"), done.stderr


def test_a_repository_that_somebody_made_meanwhile_is_used(world):
    world.answer("aws ecr create-repository", 254, err="An error occurred (RepositoryAlreadyExistsException) when calling\n")
    refused(world.run("cucim-tiler"), 1, "ECR does not answer")  # it is gone again: no loop
    (world.root / "repository").write_text("IMMUTABLE")
    assert world.run("cucim-tiler").returncode == 0


def test_a_repository_whose_tags_can_move_is_refused(world):
    (world.root / "repository").write_text("MUTABLE")
    refused(world.run("cucim-tiler"), 2, "put-image-tag-mutability")
    assert world.called("docker buildx build") == []


@pytest.mark.parametrize(
    ("start", "error", "code", "message"),
    [
        ("docker buildx build", "no space left", 1, "could not build"),
        ("docker login", "denied", 1, "could not log in"),
        ("aws ecr get-login-password", "denied", 1, "could not log in"),
        ("docker push", "connection reset", 1, "could not push"),
        ("aws ecr describe-images", "An error occurred (AccessDeniedException)\nwhen", 1, "does not say whether"),
        ("aws ecr describe-repositories", "An error occurred (AccessDeniedException) when", 1, "ECR does not answer"),
        ("aws ecr create-repository", "An error occurred (LimitExceededException) when", 1, "ECR did not make"),
        ("aws sts", "Unable to locate credentials", 1, "Unable to locate credentials"),
        ("git status", "fatal: not a git repository", 1, "git status failed"),
        ("docker buildx version", "unknown command", 2, "no buildx"),
    ],
)
def test_what_fails_is_said_and_nothing_is_pushed(world, start, error, code, message):
    world.answer(start, 1, err=f"{error}\n")
    refused(world.run("cucim-tiler"), code, message)
    assert not (world.root / "pushed").exists()
    if start.startswith(("aws ecr d", "aws sts", "git")):
        assert world.called("docker buildx build") == []


def test_a_push_that_ecr_does_not_know_of_is_an_error(world):
    world.answer("docker push")
    refused(world.run("cucim-tiler"), 1, "ECR does not have it")


@pytest.mark.parametrize("tool", ["aws", "docker", "git"])
def test_a_missing_tool_is_named(world, tool):
    (world.tools / tool).unlink()
    refused(world.run("cucim-tiler"), 2, f"{tool} is not on the PATH")


@pytest.mark.parametrize(
    "arguments", [(), ("a", "b"), ("../cucim-tiler",), ("cucim-tiler/",), ("/tmp",), ("",), (".",), ("--help",)]
)
def test_arguments_that_are_no_name_are_answered_with_the_usage(world, arguments):
    done = world.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: containers/build_and_push.sh NAME")
    assert world.calls() == []


def test_a_folder_without_a_dockerfile_is_refused(world):
    (world.containers / "pathology").mkdir()
    refused(world.run("pathology"), 2, "there is no containers/pathology/Dockerfile")


def test_the_region_decides_the_registry(world):
    done = world.run("cucim-tiler", AWS_REGION="cn-north-1")
    assert done.stdout == f"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/pathology-cucim-tiler@{IMAGE_DIGEST}\n"
    assert world.called("aws configure") == []
    assert all("cn-north-1" in words for words in world.called("aws"))


def test_no_region_is_refused(world):
    world.answer("aws configure get region", 1)
    refused(world.run("cucim-tiler"), 2, "set AWS_REGION")


def test_the_script_is_executable(repository):
    assert os.access(repository / "containers" / "build_and_push.sh", os.X_OK)
