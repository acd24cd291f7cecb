"""Pages of documentation as tests read them: commands, links, and what of the repository they name."""

import importlib
import importlib.util
import re
import subprocess
from functools import cache
from pathlib import Path

import botocore.session
import pytest
import typer
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
GUIDE, CHECKLIST = ROOT / "docs" / "deploy.md", ROOT / "docs" / "first-deployment-checklist.md"
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
]
BASES = (ROOT, ROOT / "containers" / "pathology", ROOT / "docs" / "adding-a-task")
"""docs/contracts.md names modules from within the package, docs/adding-a-task.md files of its example."""

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MADE_BY_THE_READER = {"environments/dev.yaml", "containers/cucim-tiler/base.lock"}
FOLDERS = "benchmarks|containers|demo|docs|environments|infra|pipeline_definitions|pipelines|steps|tests"
ROOMS = "cohort|commands|contracts|encoders|metrics|nuclei|patches|report|serving|tasks|training|wsi"
PATH = re.compile(rf"(?<![\w/.:{{}}$<>-])(?:{FOLDERS}|{ROOMS})/[\w./*-]*[\w/*](?![\w<])")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")


def pages():
    """Every page, as parameters of a test."""
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def blocks(page, language):
    """The contents of a page's fenced blocks of one language, without their indentation."""
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, kind, text in fences if kind == language]


@cache
def commands(page):
    """Every command after a prompt, with what follows until it is a whole one for bash, as far as the block goes."""
    return tuple(_commands(page))


def _commands(page):
    for block in blocks(page, "console"):
        one = []
        for line in block.splitlines():
            if line.startswith("$ "):
                if one:
                    yield "\n".join(one)
                one = [line[2:]]
            elif one and (one[-1].endswith("\\") or not parses("\n".join(one))):
                one.append(line)
        if one:
            yield "\n".join(one)


@cache
def parses(text):
    """Whether it is whole for bash, which says so without running it."""
    return subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False).returncode == 0


def prose(page):
    """The page without fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def one_line(command):
    return re.sub(r"\\\n\s*", "", command)


def unfinished_link(target, page):
    """What is wrong with a link's target, or nothing."""
    file, _, anchor = target.partition("#")
    there = (page.parent / file) if file else page
    if not there.exists():
        return f"{target}: there is no such file"
    if anchor and anchor not in {slug(title) for title in re.findall(r"^#+ (.*)$", prose(there), re.MULTILINE)}:
        return f"{target}: there is no such heading"
    return None


def slug(title):
    return re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-")


def is_a_program(name):
    """Whether ``python -m name`` would find something to run."""
    parts = name.rstrip(".").split(".")
    for base in (ROOT, ROOT / "containers"):
        path = base.joinpath(*parts)
        if name.endswith(".") and path.is_dir():
            return True  # a placeholder follows
        if path.with_suffix(".py").is_file() or (path / "__main__.py").is_file():
            return True
    return len(parts) == 1 and not (ROOT / name).exists() and importlib.util.find_spec(name) is not None


@cache
def options_of(program):
    """The options that a verb, a script or another module of ours knows."""
    if program.startswith("pipelines."):
        verb = program.partition(".")[2]
        app = typer.Typer()
        app.command()(getattr(importlib.import_module(program), verb))
        names = {name for param in typer.main.get_command(app).params for name in [*param.opts, *param.secondary_opts]}
        return names | {"--help"}
    bases = [base.joinpath(*program.split(".")) for base in (ROOT, ROOT / "containers")]
    candidates = [ROOT / program, *(base.with_suffix(".py") for base in bases), *(base / "__main__.py" for base in bases)]
    path = next(path for path in candidates if path.is_file())
    return set(re.findall(r"--[a-z][a-z-]*", path.read_text(encoding="utf-8")))


OURS = re.compile(
    r"(?:python -m (?P<module>(?:pipelines|pathology|infra|docs|demo|benchmarks)[\w.]*)|(?P<script>(?:infra|containers)/[\w/]+\.sh))(?P<rest>[^`|;&#\n]*)"
)


def calls(page):
    """Each call of a program of ours: the program, and what follows it."""
    texts = [one_line(command) for command in commands(page)]
    for text in [*texts, *re.findall(r"`([^`\n]+)`", prose(page))]:
        for match in OURS.finditer(text):
            yield (match["module"] or match["script"]).rstrip("."), match["rest"]


def missing_paths(text):
    """The repository's paths in a text that are not there."""
    named = set(PATH.findall(text)) - MADE_BY_THE_READER
    return {path for path in named if not any(list(base.glob(path.rstrip("/"))) for base in BASES)}


def missing_modules(text):
    """What a text runs with ``python -m`` and nobody could."""
    return {name for name in re.findall(r"python -m ([a-z][a-z0-9_.]*)", text) if not is_a_program(name)}


def identities(text):
    """Numbers of accounts, and ids of networks and file systems, other than those of AWS's documentation."""
    accounts = set(re.findall(r"(?<![0-9a-fA-F])\d{12}(?![0-9a-fA-F])", text)) - {"111122223333"}
    return accounts | set(
        re.findall(r"\b(?:subnet|fs|sg|vpc|vpce|eni|i)-(?![1-4]+\b)[0-9a-f]{8,17}\b|\bAKIA[A-Z0-9]{16}\b", text)
    )


EVERYWHERE = {"--output", "--query", "--region"}
OWN_COMMANDS = {
    ("cloudformation", "deploy"): "template-file stack-name capabilities parameter-overrides tags no-execute-changeset",
    ("cloudformation", "wait"): "stack-name",
    ("ec2", "run-instances"): "associate-public-ip-address",
}
"""What the AWS CLI knows besides the operations of its services, by their options."""


@cache
def model_of(service):
    """botocore's model of a service, None of one that there is not."""
    session = botocore.session.get_session()
    return session.get_service_model(service) if service in session.get_available_services() else None


def refused_by_aws(text):
    """What the AWS CLI would refuse in a command: services, operations and options that botocore's models have not."""
    wrong = []
    for service, operation, rest in re.findall(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)((?:(?!\baws [a-z])[^|;&`])*)", one_line(text)):
        if service == "s3":
            continue  # the CLI's own, which no model has
        model = model_of(service)
        known = set(OWN_COMMANDS.get((service, operation), "").split())
        names = {xform_name(name, "-"): name for name in model.operation_names} if model else {}
        if operation in names:
            shape = model.operation_model(names[operation]).input_shape
            known |= {xform_name(name, "-") for name in shape.members} if shape else set()
        elif not known:
            wrong.append(f"aws {service} {operation}")
            continue
        wrong += sorted(set(OPTION.findall(rest)) - {f"--{name}" for name in known} - EVERYWHERE)
    return wrong
