import io
import os
import subprocess
import sys
import tarfile

import pytest
from pathology.contracts.code import Code


@pytest.fixture
def entry(repository, tmp_path):
    """Run the entry point over a job's root in which ``archive`` is the code."""

    def run(archive, *arguments, kind="processing", **environment):
        root = tmp_path / "ml"
        folder = root / ("processing/input/code" if kind == "processing" else "input/data/code")
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "processing":
            (root / "config").mkdir(exist_ok=True)
        else:
            (root / "input" / "config").mkdir(exist_ok=True)
            (root / "input" / "config" / "resourceconfig.json").write_text("{}")
        if archive is not None:
            (folder / "abc.tar.gz").write_bytes(archive)
        command = [sys.executable, str(repository / "containers" / "pathology-run"), *arguments]
        env = {**os.environ, "PATHOLOGY_ROOT": str(root), **environment}
        return subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=tmp_path), root

    return run


def code(body):
    files = {"pathology/__init__.py": b"", "pathology/commands/__init__.py": b"", "pathology/commands/hello.py": body.encode()}
    return Code(files).archive()


@pytest.mark.parametrize("kind", ["processing", "training"])
def test_the_archives_code_is_what_runs(entry, kind):
    """And not the package that this very environment has installed."""
    done, root = entry(code("import pathology; print(pathology.__file__)"), "hello", kind=kind)
    assert done.stdout.strip() == str(root / "code" / "pathology" / "__init__.py")


def test_another_package_on_the_path_does_not_win(entry, repository):
    done, root = entry(code("import pathology; print(pathology.__file__)"), "hello", PYTHONPATH=str(repository / "containers"))
    assert done.stdout.startswith(str(root))


def test_a_package_in_the_working_directory_does_not_win(entry, tmp_path):
    (tmp_path / "pathology" / "commands").mkdir(parents=True)
    (tmp_path / "pathology" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    done, root = entry(code("import pathology; print(pathology.__file__)"), "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(root))


def test_the_exit_code_is_the_commands(entry):
    done, _ = entry(code("raise SystemExit(7)"), "hello")
    assert done.returncode == 7


def hostile(name, kind=tarfile.REGTYPE, link="", content=b""):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, len(content)
        tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


@pytest.mark.parametrize(
    ("archive", "arguments", "said"),
    [
        (None, ("hello",), "a job needs one code archive"),
        (b"no archive", ("hello",), "abc.tar.gz cannot be unpacked"),
        (code("pass"), ("other",), "has no command 'other'"),
        (code("pass"), (), "usage: pathology-run COMMAND"),
        (code("pass"), ("../x",), "usage: pathology-run COMMAND"),
        (hostile("../escaped", content=b"x"), ("hello",), "'../escaped', which is no plain file"),
        (hostile("/tmp/escaped", content=b"x"), ("hello",), "which is no plain file"),
        (hostile("link", tarfile.SYMTYPE, "/etc/passwd"), ("hello",), "which is no plain file"),
        (hostile("big", content=b"\0" * (65 * 2**20)), ("hello",), "unpacks to more than"),
    ],
)
def test_what_cannot_start_is_one_line_and_exit_2(entry, tmp_path, archive, arguments, said):
    done, root = entry(archive, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in (root / "output" / "message").read_text()
    assert not (tmp_path / "escaped").exists()


def test_the_hosts_own_setup_runs_first_in_training(entry, tmp_path):
    """AWS's script names the host, then runs ``train`` from the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "start_with_right_hostname.sh"
    script.write_text('#!/bin/sh\necho "host set up for $1"\nexec "$1"\n')
    script.chmod(0o755)
    done, _ = entry(code("print('running')"), "hello", kind="training", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.stdout.splitlines() == ["host set up for train", "running"]


@pytest.fixture
def endpoint(repository, tmp_path):
    """Run ``pathology-run serve`` beside a model that carries ``files``; no job anywhere."""

    def run(files):
        root = tmp_path / "ml"
        (root / "model").mkdir(parents=True)
        Code(files).unpack(root / "model" / "code")
        command = [sys.executable, str(repository / "containers" / "pathology-run"), "serve"]
        env = {**os.environ, "PATHOLOGY_ROOT": str(root)}
        return subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=tmp_path), root

    return run


def test_an_endpoint_runs_the_code_of_its_model(endpoint):
    files = {f"pathology/{name}": b"" for name in ("__init__.py", "commands/__init__.py")}
    done, root = endpoint(files | {"pathology/commands/serve.py": b"import pathology; print(pathology.__file__)"})
    assert done.stdout.strip() == str(root / "model" / "code" / "pathology" / "__init__.py")


def test_a_model_without_code_is_refused_in_a_line(endpoint):
    done, _ = endpoint({"inference.py": b""})
    assert done.returncode == 2
    assert done.stderr.startswith("error: the model's code in ")
    assert done.stderr.endswith("model/code has no command 'serve'\n")
