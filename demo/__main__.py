"""``python -m demo --task msi``: make data, upsert the task's pipeline here, run it, on this machine alone.

With ``--data NAME=PATH``, as often as the task has data, the same run reads a person's own, and ``--data ENCODER=PATH`` takes another
encoder than the tiny one. What it reads and how it is set become the defaults of the task's pipeline in the local environment.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.uris import Uri

from pipelines.cli import Debug, Task, run
from pipelines.config import ENVIRONMENT_VARIABLE, LOCAL, load_task
from pipelines.local.defaults import defaults_path, write_defaults
from pipelines.local.own import link, with_own_paths
from pipelines.parameters import check_parameters, parse_parameters
from pipelines.service.session import state_folder
from pipelines.tasks import NAMES, task_spec
from pipelines.tasks.parameters import keys_of
from pipelines.tasks.spec import Demo, resolve

if TYPE_CHECKING:
    from pipelines.service.version import Version

BUCKET = "local"
ENCODER = f"s3://{BUCKET}/demo/tiny-encoder"
OWN_ENCODER = "encoder"
"""What a person gives an encoder of their own by."""


def _finished(folder: Path) -> Path:
    return folder / ".complete"


def make_data(state: Path, task: str) -> dict[str, str]:
    """Generate a task's data once; the parameters that name them."""
    root, spec = Uri.parse(f"s3://{BUCKET}/demo/{task}"), task_spec(task).demo
    folder = root.under(state)
    if not _finished(folder).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        resolve(spec.make)(folder)
        _finished(folder).touch()
    return {name: str(root / key) for name, key in spec.data.items()}


def link_data(state: Path, spec: Demo, given: Mapping[str, Path]) -> dict[str, str]:
    """Put a person's own data, by name, where the run reads, as links; the parameters that name them.

    Raises:
        RequestError: when one is not there.
    """
    for name, is_folder in spec.own.values():
        path = given[name]
        if not (path.is_dir() if is_folder else path.is_file()):
            raise RequestError(f"{name.upper()}={path}: there is no such {'folder' if is_folder else 'file'}")
    return {parameter: str(link(state, given[name])) for parameter, (name, _) in spec.own.items()}


def own_data(task: str, spec: Demo, given: Sequence[str]) -> tuple[dict[str, Path], Path | None]:
    """``["slides=…", …]``, the names in small or capital letters: all the data that the task has, or none; and the encoder's folder.

    Raises:
        RequestError: for one without ``=``, only some of the task's data, or another task's.
    """
    paths: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise RequestError(f"--data {text}: write NAME=PATH")
        paths[name.lower()] = Path(path).expanduser()
    encoder = paths.pop(OWN_ENCODER, None)
    wanted = dict(spec.own.values())
    if stray := sorted(set(paths) - set(wanted)):
        reads = " and ".join(map(str.upper, wanted))
        raise RequestError(f"{stray[0].upper()} is not data of TASK={task}, which reads {reads}, and takes {OWN_ENCODER.upper()}")
    if paths and len(paths) < len(wanted):
        names = " and ".join(f"{name.upper()}=<{'folder' if is_folder else 'table'}>" for name, is_folder in wanted.items())
        raise RequestError(f"give both {names}, or neither")
    return paths, encoder


def link_encoder(state: Path, folder: Path) -> str:
    """Put a person's own encoder where runs read it; its URI.

    Raises:
        RequestError: when the folder is not there, or lacks its manifest or the checkpoint that this names.
    """
    given = f"{OWN_ENCODER.upper()}={folder}"
    if not folder.is_dir():
        raise RequestError(f"{given}: there is no such folder")
    path = folder / MANIFEST
    if not path.is_file():
        raise RequestError(f"{given}: no {MANIFEST} there: python -m pathology.encoders.describe {folder} writes it")
    try:
        manifest = EncoderManifest.from_json(path.read_bytes(), str(path))
    except DataError as error:
        raise RequestError(f"{error}: write it again with python -m pathology.encoders.describe {folder}") from None
    if not (folder / manifest.checkpoint).is_file():
        raise RequestError(
            f"{given}: no {manifest.checkpoint} there, which {MANIFEST} names: download it, or correct the manifest"
        )
    print(f"the encoder is {manifest.name}, of {folder}")
    return str(link(state, folder))


def make_encoder(state: Path) -> str:
    """The tiny seeded encoder, made once; its URI."""
    folder = Uri.parse(ENCODER).under(state)
    print("the encoder is the tiny one, random weights from a seed: it shows that things run, not what H-optimus-0 can do")
    print(f"({OWN_ENCODER.upper()}=<folder with {MANIFEST} and its checkpoint> takes a real one)")
    if not (folder / MANIFEST).is_file():
        from pathology.encoders.tiny import make_tiny_encoder

        make_tiny_encoder(folder)
    return ENCODER


def of_the_data(task: str, given: Mapping[str, str]) -> dict[str, str]:
    """Those of the parameters that say what the data are, such as the classes' names: they stay while the data do."""
    keys = keys_of(task_spec(task).pipeline().model)
    told = {
        name
        for name, paths in keys.items()
        if all(path[0] in ("dataset", "prepare") and "resources" not in path for path in paths)
    }
    return {name: value for name, value in given.items() if name in told}


def refuse_values(task: str, defaults: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Hold what was given against the pipeline that these defaults make, before anything is made, forgotten or kept.

    Raises:
        RequestError: for a value that cannot be.
    """
    env = LOCAL.model_copy(update={"defaults": {task: dict(defaults)}})
    settings = load_task(task, env)
    if given:
        from pipelines.builder import build

        check_parameters(build(task, settings, env).definition, dict(given))


def keep_defaults(state: Path, task: str, values: Mapping[str, str]) -> None:
    """Let the local environment's pipeline of the task have these values by default, and say so.

    Raises:
        RequestError: for a value that cannot be; then nothing is kept.
    """
    load_task(task, LOCAL.model_copy(update={"defaults": {task: dict(values)}}))
    write_defaults(state, task, values)
    print(f"defaults of {task} in the local environment from now on ({defaults_path(state, task)}):")
    for name, value in values.items():
        path = with_own_paths(state, value)
        print(f"  {name}={value}{'' if path == value else f' ({path})'}")


def forget(state: Path) -> None:
    """Drop what earlier runs made, and keep the data they started from, and features of slides that are a person's own."""
    for name in ("executions", "cache", "pipelines", "model-packages", "efs", f"s3/{BUCKET}/runs", f"s3/{BUCKET}/demo/features"):
        shutil.rmtree(state / name, ignore_errors=True)


def next_commands(task: str, *, passed: bool) -> Iterator[str]:
    """What to do with what the run came to, as it is typed in this shell."""
    from pipelines.service.decisions import forbidding

    version = latest_version(task) if passed else None
    words = f"--task {task}"
    if os.environ.get(ENVIRONMENT_VARIABLE, LOCAL.name) != LOCAL.name:
        words += f" --environment {LOCAL.name}"
    verb = f"{python()} -m pipelines."
    if version is None:
        yield f"{verb}executions {words}"
        yield f"{verb}show {words}"
        return
    accepted = "".join(f" --accept-warning {name}" for name in forbidding(version))
    yield f"{verb}versions {words}"
    yield f"{verb}report {words} {version.number}"
    yield f"{verb}approve {words} {version.number} --note 'to try it'{accepted}"
    yield f"{verb}deploy {words}"


def latest_version(task: str) -> Version | None:
    """The task's latest version in the local account; None where there is none."""
    from pipelines.service.session import open_session
    from pipelines.service.versions import LATEST, find

    try:
        return find(open_session(LOCAL), task, LATEST)
    except RequestError:
        return None


def python() -> str:
    """This interpreter as it is typed in the working directory."""
    here = Path(sys.executable)
    if (found := shutil.which("python")) and Path(found) == here:
        return "python"
    return shlex.quote(str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here))


def demo(
    task: Task = NAMES[0],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="NAME=PATH: your own data, else they are generated; ENCODER=PATH.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier runs first.")] = False,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    debug: Debug = False,
) -> int:
    """Run a whole pipeline on this machine: data, upsert, execution, model version."""
    from pipelines.start import start
    from pipelines.upsert import upsert

    spec = task_spec(task).demo
    given, encoder = own_data(task, spec, data or [])
    changed = {name: value.format(bucket=BUCKET) for name, value in spec.values(made=not given, tiny=encoder is None).items()}
    chosen = parse_parameters(param or [])
    stay = of_the_data(task, chosen) if given else {}
    refuse_values(task, {**changed, **stay}, {name: value for name, value in chosen.items() if name not in stay})
    state = state_folder()
    if fresh:
        forget(state)
    encoder_uri = link_encoder(state, encoder) if encoder else make_encoder(state)
    places = link_data(state, spec, given) if given else make_data(state, task)
    keep_defaults(state, task, {**places, "EncoderUri": encoder_uri, **changed, **stay})
    once = [f"{name}={value}" for name, value in chosen.items() if name not in stay]
    if once:
        print(
            f"{' '.join(once)} of this run alone; python -m pipelines.start --task {task} --like latest takes over what a run had"
        )
    sys.stdout.flush()
    code = upsert(task, environment="local", debug=debug) or start(task, environment="local", param=once, debug=debug)
    print("\nnext:")
    print("\n".join(f"  {command}" for command in next_commands(task, passed=code == 0)))
    return code


if __name__ == "__main__":
    run(demo)
