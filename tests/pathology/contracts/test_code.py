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
    (tmp_path / "pathology" / "commands" / "train_other.py").write_text("from pathology.tasks.other import model\n")
    (tmp_path / "pathology" / "tasks" / "other").mkdir()
    (tmp_path / "pathology" / "tasks" / "other" / "model.py").write_text("VALUE = 1\n")
    return tmp_path


def test_closure_holds_what_the_command_imports_and_no_more():
    files = command_code("collect_features").files
    assert "pathology/commands/collect_features.py" in files
    assert "pathology/contracts/tables.py" in files
    assert "pathology/__init__.py" in files
    assert "pathology/commands/train_msi_tcga.py" not in files


def append(path, line):
    with path.open("a") as file:
        file.write(f"{line}\n")


def test_code_of_another_task_leaves_the_hash_alone(package):
    before = command_code("train_msi_tcga", package).hash
    other_before = command_code("train_other", package).hash
    append(package / "pathology" / "tasks" / "other" / "model.py", "CHANGED = True")
    assert command_code("train_msi_tcga", package).hash == before
    assert command_code("train_other", package).hash != other_before


def test_own_code_changes_the_hash_and_a_comment_does_not(package):
    before = command_code("train_msi_tcga", package).hash
    model = package / "pathology" / "tasks" / "msi" / "model.py"
    append(model, "\n# a remark")
    assert command_code("train_msi_tcga", package).hash == before
    append(model, "CHANGED = True")
    assert command_code("train_msi_tcga", package).hash != before


def test_readme_changes_nothing(package):
    before = command_code("train_msi_tcga", package).hash
    (package / "README.md").write_text("hello")
    (package / "pathology" / "README.md").write_text("hello")
    (package / "pathology" / "tasks" / "README.md").write_text("hello")
    assert command_code("train_msi_tcga", package).hash == before


def test_template_is_part_of_the_report(package):
    files = command_code("evaluate_msi", package).files
    assert any(path.endswith(".j2") for path in files)


def test_another_tasks_template_leaves_the_hash_alone_and_one_for_all_does_not(package):
    before = command_code("evaluate_msi", package)
    other = "pathology/tasks/mhist/report.html.j2"
    assert (package / other).is_file()
    assert other not in before.files
    (package / other).write_text("changed")
    assert command_code("evaluate_msi", package).hash == before.hash
    (package / "pathology" / "report" / "base.html.j2").write_text("changed")
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
