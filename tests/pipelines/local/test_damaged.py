"""Every verb on a local account that a disk, a crash or another version damaged: one line, the right exit code, no other execution
touched. Disks that are full or read-only are simulated where files are opened, linked and removed: root writes where it may not."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from pipelines.__main__ import VERBS
from pipelines.local.damage import (
    CACHED,
    ENDPOINT,
    ENDPOINT_CONFIG,
    EXECUTION,
    GROUP,
    MODEL,
    PIPELINE,
    STEP,
    VERSION,
    job_members,
)
from tests.pipelines.local.damages import TASK, disk, identity

ARGUMENTS = {
    "executions": (*TASK, "--json"),
    "show": ("{arn}",),
    "metrics": ("{arn}",),
    "logs": ("{arn}", "First"),
    "watch": (*TASK, "{id}"),
    "versions": TASK,
    "version": (*TASK, "2"),
    "report": (*TASK, "{id}", "--output", "{page}"),
    "compare": (*TASK, "{id}", "{id}"),
    "review": (*TASK, "--html", "{page}"),
    "check_data": TASK,
    "doctor": TASK,
    "validate": TASK,
    "graph": TASK,
    "render": ("--check", *TASK),
    "approve": (*TASK, "2", "--note", "x", "--accept-warning", "no-evaluation"),
    "reject": (*TASK, "2", "--note", "x"),
    "endpoints": TASK,
    "predict": ("s3://local/slides", *TASK, "--version", "2", "--no-wait"),
    "deploy": (*TASK, "--version", "2", "--allow-unapproved", "--dry-run"),
    "invoke": (*TASK, "x.csv"),
    "undeploy": (*TASK, "--yes"),
    "stop": ("{arn}", "--no-wait"),
    "retry": ("{arn}", "--no-wait"),
    "start": (*TASK, "--no-wait", "--token", "again", "--param", "Word=b"),
    "upsert": TASK,
    "clean": (*TASK, "--older-than", "90d", "--yes"),
    "delete": (*TASK, "--yes"),
}
"""Every verb, those that change something last."""
ELSEWHERE = {"environment"}
"""Verbs that know nothing of this machine's account."""
QUICK = (
    *("executions", "show", "metrics", "logs", "watch", "versions", "version", "report"),
    *("compare", "review", "approve", "reject", "endpoints", "deploy", "invoke", "undeploy"),
    *("stop", "retry", "start", "clean", "delete"),
)
"""Verbs that build no pipeline, which takes the SDK."""
MEMBERS = {
    "execution.json": EXECUTION,
    "definition.json": ("Version", "Parameters", "Steps"),
    "steps": STEP,
    "processing": job_members("ProcessingJob"),
    "training": job_members("TrainingJob"),
    "pipelines": PIPELINE,
    "cache": CACHED,
    "group.json": GROUP,
    "versions": VERSION,
    "tokens": (),
    "defaults": (),
    "evaluation": (),
    "models": MODEL,
    "endpoint-configs": ENDPOINT_CONFIG,
    "endpoint.json": ENDPOINT,
}
REGISTRY = {"versions", "version", "review", "approve", "reject", "deploy", "predict"}
ENDPOINTS = {"endpoints", "invoke", "undeploy", "version", "review"}
REFUSE = {
    "execution.json": {"show", "metrics", "report", "compare", "logs", "watch", "stop", "retry", "clean"},
    "definition.json": {"show", "logs"},
    "steps": {"show", "metrics", "report", "compare", "logs", "watch", "retry", "clean"},
    "processing": {"show", "metrics", "report", "compare", "watch"},
    "training": {"show"},
    "pipelines": {"executions", "report", "compare", "watch", "start", "upsert", "clean", "delete"},
    "cache": set(),
    "group.json": {"upsert", "clean", *REGISTRY},
    "versions": {"show", "watch", "clean", *REGISTRY},
    "tokens": set(),
    "defaults": set(ARGUMENTS) - {"render"},
    "evaluation": {"show", "metrics", "compare", "watch"},
    "models": set(),
    "endpoint-configs": ENDPOINTS,
    "endpoint.json": ENDPOINTS,
}
"""The verbs that cannot do their work when such a file is cut or empty; the others do all of it."""
DAMAGES = ("cut", "empty", "older layout", "missing", "read-only", "full", "a file")


def test_no_verb_is_forgotten():
    assert set(ARGUMENTS) | ELSEWHERE == set(VERBS)


def target(root, arn, kind):
    """The file of a kind that belongs to the execution, or to all."""
    patterns = {
        "execution.json": f"executions/{identity(arn)}/execution.json",
        "definition.json": f"executions/{identity(arn)}/definition.json",
        "steps": f"executions/{identity(arn)}/steps/*.json",
        "processing": f"jobs/pipelines-{identity(arn)}-Eval*.json",
        "training": f"jobs/pipelines-{identity(arn)}-Train*.json",
        "pipelines": "pipelines/*.json",
        "cache": "cache/*.json",
        "group.json": "model-packages/*/group.json",
        "versions": "model-packages/*/2.json",
        "tokens": "pipelines/*.tokens/*.json",
        "defaults": "defaults/*.json",
        "evaluation": f"s3/local/runs/{identity(arn)}/Evaluate/evaluation/evaluation.json",
        "models": "models/*.json",
        "endpoint-configs": "endpoint-configs/*.json",
        "endpoint.json": "endpoints/*/endpoint.json",
    }
    return sorted(root.glob(patterns[kind]))


def spoil(path, damage, members, draw):
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: draw.randrange(1, len(content))])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "missing":
        path.unlink()
    else:
        record = json.loads(content)
        del record[draw.choice(sorted(members))]
        path.write_text(json.dumps(record))


def tree(root, arn):
    """What lies there of an execution, by path: a hash of each file."""
    folder = root / "executions" / identity(arn)
    paths = [*folder.rglob("*"), *(root / "jobs").glob(f"*{identity(arn)}*")]
    ours = [path for path in paths if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in ours}


def call(here, verb, arn):
    page = Path(os.environ["PATHOLOGY_STATE"]).with_suffix(".html")
    filled = [word.format(arn=arn, id=identity(arn), page=page) for word in ARGUMENTS[verb]]
    return here(verb, *filled)


def check(done, usual, expected, where, refuses=None):
    """The exit code of the account before it was damaged, or 2 (of data 1) and a line that names the file; ``refuses`` says which,
    where that is known."""
    assert "Traceback" not in done.err + done.out, where
    if refuses is not None:
        said = bool(done.err) and done.err.splitlines()[-1].startswith("error: ") and expected[0] in done.err
        assert said == refuses, (*where, done.code, done.err)
    if done.code == usual:
        return
    last = done.err.splitlines()[-1]
    assert done.code in (1, 2), (*where, done.err)
    assert last.startswith("error: "), where
    assert "AWS" not in last, (*where, last)
    assert any(text in last for text in expected), (*where, last)


def check_data_once(monkeypatch):
    """check_data's process, which takes longer than all else and reads the data, not the account, answers once for all states."""
    from pipelines.service import data_check

    really, answers = data_check._run, []

    def run(*given):
        if not answers:
            answers.append(really(*given))
        return answers[0]

    monkeypatch.setattr(data_check, "_run", run)


def survives(fresh, here, monkeypatch, verbs, states, seed):
    """The number of states that were looked at."""
    check_data_once(monkeypatch)
    root, other, arn = fresh("whole")
    usual = {verb: call(here, verb, arn).code for verb in verbs}
    assert set(usual.values()) <= {0, 1, 2}
    draw = random.Random(seed)
    for number in range(states):
        kind = sorted(MEMBERS)[number % len(MEMBERS)]
        damage = DAMAGES[(number // len(MEMBERS) + number) % len(DAMAGES)]
        if damage == "older layout" and not MEMBERS[kind]:
            damage = "cut"
        root, other, arn = fresh(f"state{number}")
        path = draw.choice(target(root, arn, kind))
        before = tree(root, other)
        where = (number, damage, str(path.relative_to(root)))
        with monkeypatch.context() as patch:
            if damage == "a file":
                shutil.rmtree(root)
                root.write_text("x")
                expected = [f"{root}: is a file"]
            elif damage in ("read-only", "full"):
                disk(patch, root, damage)
                expected = [str(root)]
            else:
                spoil(path, damage, MEMBERS[kind], draw)
                gone = ("run python -m", "not exist", "not found", "has no ", "no such", "is gone")
                named = path.parent if kind == "evaluation" else path  # compare says the file's name, and its folder behind it
                expected = [str(named), *(gone if damage == "missing" else ())]
            for verb in verbs:
                refuses = verb in REFUSE[kind] if damage in ("cut", "empty") else None
                check(call(here, verb, arn), usual[verb], expected, (verb, *where), refuses)
            if damage != "a file":
                assert tree(root, other) == before, where
                if kind != "defaults" or damage in ("missing", "read-only", "full"):
                    assert here("show", other, "--json").code == 0, where
        if damage != "a file":
            shutil.rmtree(root)
    return states


def test_verbs_survive_a_few_damaged_states(fresh, here, monkeypatch):
    assert survives(fresh, here, monkeypatch, QUICK, 8, seed=1) == 8


@pytest.mark.slow
def test_every_verb_survives_sixty_damaged_states(fresh, here, monkeypatch):
    assert survives(fresh, here, monkeypatch, tuple(ARGUMENTS), 60, seed=0) == 60
