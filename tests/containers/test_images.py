"""The images, as far as they can be read without building them."""

import configparser
import re
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


class Image(NamedTuple):
    """What an image is called, whose requirements it holds, some of those, and what its base looks like."""

    name: str
    extra: str
    among: set[str]
    base: str


IMAGES = [
    Image(
        "cucim-tiler",
        "tiler",
        {"numpy", "pydantic", "scipy", "cucim-cu13", "torch"},
        r"public\.ecr\.aws/docker/library/python:3\.12-slim-[a-z]+",
    ),
    Image(
        "training",
        "training",
        {"torch", "peft", "fastapi", "uvicorn", "pillow", "pydantic"},
        r"public\.ecr\.aws/deep-learning-containers/pytorch-training:[0-9.]+-gpu-py312-cu13\d-\S+-sagemaker",
    ),
]


@pytest.fixture(scope="module", params=IMAGES, ids=lambda image: image.name)
def image(request):
    return request.param


@pytest.fixture(scope="module")
def folder(repository, image):
    return repository / "containers" / image.name


@pytest.fixture(scope="module")
def locked(folder):
    """The text of the lock, and its versions by name."""
    text = (folder / "requirements.txt").read_text()
    return text, {canonicalize_name(name): Version(version) for name, version, _ in PIN.findall(text)}


@pytest.fixture(scope="module")
def taken(folder):
    """(source, target, flags) of everything that the Dockerfile copies or mounts from the context."""
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    taken = []
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        flags = [one for one in rest if one.startswith("--")]
        if word in ("COPY", "ADD"):
            *sources, target = [one for one in rest if one not in flags]
            taken += [(source, target, flags) for source in sources]
        elif word == "RUN":
            mounts = [dict(part.split("=") for part in flag[8:].split(",")) for flag in flags if flag.startswith("--mount=")]
            taken += [(mount["source"], mount["target"], flags) for mount in mounts]
    assert len(taken) == len({source for source, _, _ in taken})
    return taken


def test_every_requirement_has_a_hash(locked):
    text, versions = locked
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(versions) > 0


def test_every_line_is_a_pin_a_hash_or_a_comment(locked):
    """So no index, no link and no path of the machine that compiled it, and none can be slipped in."""
    rest = [line for line in PIN.sub("", locked[0]).splitlines() if not line.lstrip().startswith("#")]
    assert rest == []
    assert not re.search(r"://|--(?:extra-)?index|find-links", locked[0])


def test_it_has_what_the_extra_asks_for(locked, repository, image):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    asked = config["options"]["install_requires"] + config["options.extras_require"][image.extra]
    requirements = [Requirement(line) for line in asked.splitlines() if line and not line.startswith("#")]
    assert image.among <= {requirement.name for requirement in requirements}
    for requirement in requirements:
        version = locked[1].get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is missing: make requirements"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is locked at {version}: make requirements"
        )


def test_it_has_the_versions_that_the_tests_run_with(locked, repository):
    pins = (Requirement(line) for line in (repository / "constraints.txt").read_text().split())
    tested = {canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in pins}
    assert {name: version for name, version in locked[1].items() if tested.get(name, version) != version} == {}, (
        "make requirements"
    )


def test_authoring_stays_out(locked):
    assert [name for name in locked[1] if name.startswith("sagemaker")] == []


def test_the_base_is_asked_for_by_tag_and_only_used_by_digest(folder, image):
    wanted = (folder / "base.txt").read_text().strip()
    assert re.fullmatch(image.base, wanted)
    lock = folder / "base.lock"
    if lock.exists():
        assert re.fullmatch(re.escape(wanted) + r"@sha256:[0-9a-f]{64}\n", lock.read_text())
    lines = (folder / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith(("ARG", "FROM"))] == ["ARG BASE", "FROM ${BASE}"]


def test_the_image_holds_no_code_of_the_package_and_starts_with_pathology_run(folder):
    text = (folder / "Dockerfile").read_text()
    assert re.findall(r"^(?:COPY|ADD) .*", text, re.MULTILINE) == [
        "COPY --chmod=0755 containers/pathology-run /usr/local/bin/pathology-run",
        "COPY LICENSE NOTICE THIRD_PARTY_LICENSES.md /usr/share/licenses/pathology-pipelines/",
    ]
    assert "CUCIM_CONFIG_PATH" not in text  # pathology.wsi.cucim_reader sets it before the import
    assert 'ENTRYPOINT ["pathology-run"]' in text
    assert "--require-hashes" in text


def test_the_licence_and_what_it_asks_for_travel_with_the_image(taken):
    """With no --chmod: it would be that of the folder, which is new, as well."""
    where = "/usr/share/licenses/pathology-pipelines/"
    there = {source for source, target, flags in taken if target == where and flags == []}
    assert there == {"LICENSE", "NOTICE", "THIRD_PARTY_LICENSES.md"}


def test_the_build_sees_what_it_takes_and_nothing_else(taken, folder, repository):
    """First nothing, then files by their whole names: no folder, no pattern, nothing of Git's or of a checkout's data."""
    lines = (folder / "Dockerfile.dockerignore").read_text().splitlines()
    nothing, *but = [line for line in lines if line and not line.startswith("#")]
    assert nothing == "*"
    assert sorted(but) == sorted(f"!{source}" for source, _, _ in taken)
    for source, _, _ in taken:
        assert re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*", source)
        assert (repository / source).is_file()
        assert not (repository / source).is_symlink()
