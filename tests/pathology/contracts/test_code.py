import gzip
import io
import shutil
import tarfile

import pytest
from pathology.contracts.code import ROOT, closure, command_code
from pathology.contracts.errors import RequestError


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may change."""
    shutil.copytree(ROOT / "pathology", tmp_path / "pathology", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pathology" / "commands" / "train_other.py").write_text("from pathology.models import other_task\n")
    (tmp_path / "pathology" / "models" / "other_task.py").write_text("VALUE = 1\n")
    return tmp_path


def test_closure_holds_what_the_command_imports_and_no_more():
    files = command_code("collect_features").files
    assert "pathology/commands/collect_features.py" in files
    assert "pathology/contracts/tables.py" in files
    assert "pathology/__init__.py" in files
    assert "pathology/commands/train_msi_tcga.py" not in files


def test_comment_in_another_tasks_code_leaves_the_hash_alone(package):
    before = command_code("train_msi_tcga", package).hash
    other_before = command_code("train_other", package).hash
    with (package / "pathology" / "models" / "other_task.py").open("a") as file:
        file.write("# a remark\n")
    assert command_code("train_msi_tcga", package).hash == before
    assert command_code("train_other", package).hash != other_before


def test_comment_in_own_code_changes_the_hash(package):
    before = command_code("train_msi_tcga", package).hash
    with (package / "pathology" / "models" / "attention_mil.py").open("a") as file:
        file.write("# a remark\n")
    assert command_code("train_msi_tcga", package).hash != before


def test_readme_changes_nothing(package):
    before = command_code("train_msi_tcga", package).hash
    (package / "README.md").write_text("hello")
    (package / "pathology" / "README.md").write_text("hello")
    (package / "pathology" / "models" / "README.md").write_text("hello")
    assert command_code("train_msi_tcga", package).hash == before


def test_template_is_part_of_the_report(package):
    files = command_code("evaluate_msi", package).files
    assert any(path.endswith(".j2") for path in files)


def test_another_tasks_template_leaves_the_hash_alone_and_one_for_all_does_not(package):
    before = command_code("evaluate_msi", package)
    assert "pathology/report/mhist.html.j2" not in before.files
    report = package / "pathology" / "report"
    (report / "mhist.html.j2").write_text("changed")
    assert command_code("evaluate_msi", package).hash == before.hash
    (report / "base.html.j2").write_text("changed")
    assert command_code("evaluate_msi", package).hash != before.hash


def test_archive_is_the_same_bytes_and_holds_plain_files():
    code = command_code("stage")
    assert code.archive() == command_code("stage").archive()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(code.archive()))) as tar:
        members = tar.getmembers()
        assert {member.name for member in members} == set(code.files)
        assert all(member.isreg() and member.mtime == 0 for member in members)


def test_import_inside_a_function_counts(tmp_path):
    (tmp_path / "pathology" / "commands").mkdir(parents=True)
    for path in ("pathology/__init__.py", "pathology/commands/__init__.py"):
        (tmp_path / path).write_text("")
    (tmp_path / "pathology" / "late.py").write_text("")
    (tmp_path / "pathology" / "commands" / "a.py").write_text("def f():\n    from ..late import x\n")
    assert "pathology/late.py" in closure("pathology.commands.a", tmp_path).files


def test_unknown_command_is_refused():
    with pytest.raises(RequestError, match="no module pathology.commands.nothing"):
        command_code("nothing")
