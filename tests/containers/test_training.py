"""The training image, as far as it can be read without building it."""

import configparser
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(repository):
    return repository / "containers" / "training"


@pytest.fixture(scope="module")
def locked(folder):
    """The text of the lock, and its versions by name."""
    text = (folder / "requirements.txt").read_text()
    return text, {canonicalize_name(name): Version(version) for name, version, _ in PIN.findall(text)}


def test_every_line_is_a_pin_with_hashes_or_a_comment(locked):
    rest = [line for line in PIN.sub("", locked[0]).splitlines() if not line.lstrip().startswith("#")]
    assert (rest, bool(locked[1])) == ([], True)
    assert "://" not in locked[0]


def test_it_has_what_the_extra_asks_for_in_the_versions_that_the_tests_run_with(locked, repository):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    asked = config["options"]["install_requires"] + config["options.extras_require"]["training"]
    requirements = [Requirement(line) for line in asked.splitlines() if line and not line.startswith("#")]
    assert {"torch", "peft", "fastapi", "uvicorn", "pillow", "pydantic"} <= {requirement.name for requirement in requirements}
    for requirement in requirements:
        found = locked[1].get(canonicalize_name(requirement.name))
        assert found is not None, f"{requirement.name} is missing: make requirements"
        assert requirement.specifier.contains(found, prereleases=True), f"{requirement} is locked at {found}: make requirements"
    pins = (Requirement(line) for line in (repository / "constraints.txt").read_text().split())
    tested = {canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in pins}
    assert {name: version for name, version in locked[1].items() if tested.get(name, version) != version} == {}
    assert [name for name in locked[1] if name.startswith("sagemaker")] == []


def test_the_base_is_awss_asked_for_by_tag_and_of_the_locks_python(folder):
    wanted = (folder / "base.txt").read_text().strip()
    assert re.fullmatch(
        r"public\.ecr\.aws/deep-learning-containers/pytorch-training:[0-9.]+-gpu-py312-cu13\d-\S+-sagemaker", wanted
    )
    lines = (folder / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith(("ARG", "FROM"))] == ["ARG BASE", "FROM ${BASE}"]


def test_it_holds_no_code_of_the_package_and_starts_with_pathology_run(folder):
    text = (folder / "Dockerfile").read_text()
    assert re.findall(r"^(?:COPY|ADD) .*", text, re.MULTILINE) == ["COPY --chmod=0755 pathology-run /usr/local/bin/pathology-run"]
    assert 'ENTRYPOINT ["pathology-run"]' in text
    assert "--require-hashes" in text
    seen = [line for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert seen == ["*", "!training/requirements.txt", "!pathology-run"]
