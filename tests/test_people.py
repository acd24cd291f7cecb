"""What people look for at the top of a repository: licence, citation, security, whose work is in the images, and the version."""

import ast
import configparser
import hashlib
import re
from pathlib import Path

import pytest
import yaml

from docs import licences
from pipelines import __version__


@pytest.fixture(scope="module")
def metadata(repository):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    return config["metadata"]


@pytest.fixture(scope="module")
def citation(repository):
    return yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def third_party():
    return licences.PAGE.read_text(encoding="utf-8")


def section(text, image):
    return re.search(rf"^## {image}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]


def test_the_licence_is_apache_2_whole_and_unchanged(repository):
    text = (repository / "LICENSE").read_text(encoding="utf-8")
    words = " ".join(text.split())
    assert words.startswith("Apache License Version 2.0, January 2004 http://www.apache.org/licenses/ TERMS AND CONDITIONS")
    assert words.endswith("See the License for the specific language governing permissions and limitations under the License.")
    assert re.findall(r"^   (\d)\. ", text, re.MULTILINE) == list("123456789")
    published = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # pragma: allowlist secret
    assert hashlib.sha256(text.encode()).hexdigest() == published


def test_setup_names_the_licence_and_its_files(repository, metadata):
    assert metadata["license"] == "Apache-2.0"
    files = metadata["license_files"].split()
    assert files == ["LICENSE", "NOTICE"]
    assert all((repository / name).is_file() for name in files)
    assert (repository / "NOTICE").read_text().startswith(f"{metadata['name']}\nCopyright ")


def test_the_version_stands_in_one_place_that_imports_nothing(repository, metadata):
    assert metadata["version"] == "attr: pipelines.__version__"
    tree = ast.parse((repository / "pipelines" / "__init__.py").read_text(encoding="utf-8"))
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []
    assert "__version__" not in (repository / "containers" / "pathology" / "__init__.py").read_text()


def test_the_citation_is_of_this_version(metadata, citation):
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "authors", "title"} <= citation.keys()
    assert citation["title"] == metadata["name"]
    assert citation["abstract"] == metadata["description"]
    assert citation["license"] == metadata["license"]
    assert citation["version"] == __version__
    assert [work["title"] for work in citation["references"] if not {"type", "authors"} <= work.keys()] == []


@pytest.mark.parametrize("image", licences.IMAGES)
def test_every_library_of_an_image_is_listed_with_its_version(third_party, image):
    rows = re.findall(r"^\| (\S+) \| (\S+) \| ([^|]+) \|", section(third_party, image), re.MULTILINE)
    listed = [(name, version) for name, version, _ in rows if name not in ("Library", "---")]
    assert listed == sorted(licences.pins(image).items())
    assert licences.base(image) in section(third_party, image)


def test_the_list_of_libraries_is_that_of_the_locks(repository):
    assert set(licences.IMAGES) == {path.parent.name for path in repository.glob("containers/*/requirements.txt")}
    for image in licences.IMAGES:
        lock = (repository / "containers" / image / "requirements.txt").read_text()
        assert len(licences.pins(image)) == lock.count("==")


class Distribution:
    """As much of one as is read."""

    def __init__(self, metadata, files=()):
        self.fields, self.files = metadata, [Path(file) for file in files]

    @property
    def metadata(self):
        return self

    def get_all(self, name):
        return self.fields.get(name)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"License-Expression": ["MIT"], "License": ["BSD"]}, "MIT"),
        ({"Classifier": ["License :: OSI Approved :: BSD License", "Topic :: X"], "License": ["Long"]}, "BSD License"),
        ({"License": ["BSD 3-Clause License\n\nCopyright …"]}, "BSD 3-Clause License"),
        ({}, licences.UNKNOWN),
    ],
)
def test_a_licence_is_what_is_stated_most_exactly(metadata, expected):
    assert licences.licence(Distribution(metadata)) == expected


@pytest.mark.parametrize(
    ("stated", "files", "expected"),
    [
        ("MIT", ["x/libx.so"], ""),
        ("LGPL-2.1-only AND MIT", [], "LGPL"),
        ("BSD-3-Clause OR GPL-2.0-only", [], "GPL"),
        ("GNU Lesser General Public License v3 (LGPLv3)", [], "LGPL"),
        ("LicenseRef-NVIDIA-Proprietary", [], "proprietary"),
        ("MPL-2.0", ["x.libs/libgomp-e985bcbb.so.1"], f"MPL; holds libgomp ({licences.GCC})"),
    ],
)
def test_copyleft_and_proprietary_are_flagged(stated, files, expected):
    assert licences.warnings(stated, Distribution({}, files)) == expected


def test_a_library_that_is_not_installed_is_listed_without_a_licence():
    assert licences.row("no-such-library", "1.0") == f"| no-such-library | 1.0 | {licences.UNKNOWN} |  |\n"
    assert licences.row("numpy", "0.0.1") == f"| numpy | 0.0.1 | {licences.UNKNOWN} |  |\n"


def test_other_platforms_write_nothing(monkeypatch, capsys):
    before = licences.PAGE.stat().st_mtime_ns
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr("sys.argv", ["licences"])
    assert licences.main() == 2
    assert "another platform" in capsys.readouterr().err
    assert licences.PAGE.stat().st_mtime_ns == before


@pytest.mark.parametrize("package", ["containers/pathology", "pipelines", "steps"])
def test_types_are_marked(repository, package):
    assert (repository / package / "py.typed").read_bytes() == b""


def test_links_of_these_pages_lead_somewhere(repository, third_party):
    for text in (third_party, (repository / "SECURITY.md").read_text(encoding="utf-8")):
        targets = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
        assert [target for target in targets if not (repository / target).exists()] == []
