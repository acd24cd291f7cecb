import io
import json
import os
import signal
import subprocess
import sys
import tarfile

import pytest
from pathology.contracts.code import Code

from tests.waiting import MAX_WAIT_SECONDS, until


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
    ("archive", "arguments", "message"),
    [
        (None, ("hello",), "a job needs one code archive"),
        (b"no archive", ("hello",), "abc.tar.gz cannot be unpacked"),
        (code("pass"), ("other",), "has no command 'other'"),
        (code("pass"), (), "usage: pathology-run COMMAND"),
        (code("pass"), ("../x",), "usage: pathology-run COMMAND"),
        (code("pass"), ("hello", "--torch-run"), "usage: pathology-run COMMAND"),
        (code("pass"), ("--worker", "hello"), "usage: pathology-run COMMAND"),
        (hostile("../escaped", content=b"x"), ("hello",), "'../escaped', which is no plain file"),
        (hostile("/tmp/escaped", content=b"x"), ("hello",), "which is no plain file"),
        (hostile("link", tarfile.SYMTYPE, "/etc/passwd"), ("hello",), "which is no plain file"),
        (hostile("big", content=b"\0" * (65 * 2**20)), ("hello",), "unpacks to more than"),
    ],
)
def test_what_cannot_start_is_one_line_and_exit_2(entry, tmp_path, archive, arguments, message):
    done, root = entry(archive, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in (root / "output" / "message").read_text()
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


SAY = "import json, os, sys; print(json.dumps([sys.argv[1:], {name: os.environ.get(name) for name in NAMES}]))"
NAMES = ("CUDA_VISIBLE_DEVICES", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
FAKE = {
    "torch/__init__.py": b"",
    "torch/distributed/__init__.py": b"",
    "torch/distributed/run.py": f"NAMES = {NAMES}\n{SAY}".encode(),
    "pathology/__init__.py": b"",
    "pathology/commands/__init__.py": b"",
    "pathology/commands/hello.py": b"print('alone')",
}


@pytest.fixture
def distributed(repository, tmp_path):
    """Prepare a training job of ``hosts`` hosts with ``gpus`` GPUs each; the command, environment and root of one host."""

    def prepare(files, hosts=1, gpus=0, host=1, resources=None, **environment):
        root, devices = tmp_path / "ml", tmp_path / "dev"
        (root / "input" / "data" / "code").mkdir(parents=True)
        (root / "input" / "data" / "code" / "abc.tar.gz").write_bytes(Code(files).archive())
        names = [f"algo-{number + 1}" for number in range(hosts)]
        cluster = {"current_host": f"algo-{host}", "hosts": names, "network_interface_name": "eth0"}
        (root / "input" / "config").mkdir()
        (root / "input" / "config" / "resourceconfig.json").write_text(json.dumps(cluster) if resources is None else resources)
        devices.mkdir()
        for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(gpus))):
            (devices / name).touch()
        variables = {"PATHOLOGY_ROOT": str(root), "PATHOLOGY_DEVICES": str(devices), "PATHOLOGY_TORCHRUN": "true", **environment}
        others = {name: value for name, value in os.environ.items() if name not in NAMES}
        return [sys.executable, str(repository / "containers" / "pathology-run"), "hello"], {**others, **variables}, root

    return prepare


@pytest.fixture
def words(distributed):
    """The words that torchrun would get and what it would see of the environment; None where the command runs alone."""

    def run(**given):
        command, env, _ = distributed(FAKE, **given)
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return None if done.stdout == "alone\n" else json.loads(done.stdout)

    return run


def options(nnodes, processes, rank, address, port):
    return [
        *(f"--nnodes={nnodes}", f"--nproc-per-node={processes}", f"--node-rank={rank}"),
        *(f"--master-addr={address}", f"--master-port={port}"),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hosts": 2, "host": 2}, (2, 1, 1, "algo-1", 29500)),
        ({"hosts": 1, "gpus": 4}, (1, 4, 0, "127.0.0.1", 29500)),
        ({"hosts": 3, "gpus": 8, "host": 3}, (3, 8, 2, "algo-1", 29500)),
        ({"hosts": 1, "gpus": 4, "CUDA_VISIBLE_DEVICES": "2, 0"}, (1, 2, 0, "127.0.0.1", 29500)),
        ({"hosts": 1, "gpus": 4, "CUDA_VISIBLE_DEVICES": "1,3,7,2"}, (1, 2, 0, "127.0.0.1", 29500)),
        ({"hosts": 2, "PATHOLOGY_RENDEZVOUS": "127.0.0.1:4321"}, (2, 1, 0, "127.0.0.1", 4321)),
        ({"hosts": 2, "gpus": 5, "host": 2, "PATHOLOGY_RENDEZVOUS": "127.0.0.1:1"}, (2, 2, 1, "127.0.0.1", 1)),
    ],
)
def test_torchrun_starts_a_process_for_every_gpu_of_every_host(words, repository, given, expected):
    started, _ = words(**given)
    assert started == [*options(*expected), str(repository / "containers" / "pathology-run"), "--worker", "hello"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gpus": 1},
        {"gpus": 4, "CUDA_VISIBLE_DEVICES": "3"},
        {"gpus": 4, "CUDA_VISIBLE_DEVICES": ""},
        {"gpus": 4, "CUDA_VISIBLE_DEVICES": "-1"},
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"hosts": 2, "gpus": 4, "PATHOLOGY_TORCHRUN": "false"},
        {"resources": "{}"},
    ],
)
def test_one_process_needs_no_torchrun(words, given):
    assert words(**given) is None


def test_hosts_of_one_machine_share_its_gpus_and_others_are_told_their_network(words):
    _, seen = words(hosts=2, gpus=2, host=2, PATHOLOGY_RENDEZVOUS="127.0.0.1:1")
    assert seen == {"CUDA_VISIBLE_DEVICES": "1", "NCCL_SOCKET_IFNAME": None, "GLOO_SOCKET_IFNAME": None}


def test_too_few_gpus_for_the_hosts_of_one_machine_are_nobodys(words):
    _, seen = words(hosts=2, gpus=1, PATHOLOGY_RENDEZVOUS="127.0.0.1:1")
    assert seen["CUDA_VISIBLE_DEVICES"] == ""


def test_hosts_of_their_own_are_told_their_network(words):
    _, seen = words(hosts=2, gpus=2, NCCL_SOCKET_IFNAME="mine")
    assert seen == {"CUDA_VISIBLE_DEVICES": None, "NCCL_SOCKET_IFNAME": "mine", "GLOO_SOCKET_IFNAME": "eth0"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"PATHOLOGY_TORCHRUN": "yes"}, "PATHOLOGY_TORCHRUN is 'yes': give true or false"),
        ({"resources": "{"}, "resourceconfig.json does not name the hosts"),
        ({"resources": "[]"}, "resourceconfig.json does not name the hosts"),
        (
            {"hosts": 2, "host": 3},
            "resourceconfig.json does not name the hosts and which of them this is: 'algo-3' is not in list",
        ),
    ],
)
def test_a_cluster_that_cannot_be_read_is_refused(distributed, given, message):
    command, env, root = distributed(FAKE, **given)
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert message in (root / "output" / "failure").read_text()


WORKER = f"""
import os, time
from pathlib import Path
rank = os.environ["RANK"]
beside = Path(os.environ["PATHOLOGY_ROOT"]) / f"beside-{{rank}}"
beside.write_text(str(os.getpid()))
assert os.environ["WORLD_SIZE"] == "2"
beside.rename(beside.with_name(f"pid-{{rank}}"))
time.sleep({2 * MAX_WAIT_SECONDS})
""".encode()


def lives(pid):
    """Whether a process runs; one that waits for its parent's look does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_of_torchrun_end_with_it(distributed, number):
    """The real torchrun, which puts each of its processes into a session of its own."""
    files = {name: content for name, content in FAKE.items() if name.startswith("pathology")}
    files["pathology/commands/hello.py"] = WORKER
    command, env, root = distributed(files, gpus=2, PATHOLOGY_RENDEZVOUS="127.0.0.1:0")  # whatever port is free
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: process.poll() is not None or len(list(root.glob("pid-*"))) == 2, "both workers")
            workers = [int(path.read_text()) for path in root.glob("pid-*")]
            assert len(workers) == 2
            assert all(map(lives, workers))
            process.send_signal(number)
            assert process.wait(MAX_WAIT_SECONDS) != 0
            until(lambda: not any(map(lives, workers)), "the workers' end")
        finally:
            process.kill()
