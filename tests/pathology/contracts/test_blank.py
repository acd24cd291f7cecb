"""What is left of a source: written by hand for every kind of statement, and held for every module of the package."""

import ast
import io
import runpy
import shutil
import tarfile
import traceback

import pytest
from pathology.contracts.blank import blanked
from pathology.contracts.code import ROOT, command_code

SOURCES = sorted((ROOT / "pathology").rglob("*.py"))
COMMANDS = sorted(path.stem for path in (ROOT / "pathology" / "commands").glob("[a-z]*.py"))
BODIES = ("body", "orelse", "finalbody", "cases")
READS_DOCSTRINGS = (b"__doc__", b"getdoc", b"getcomments", b"getsource", b"use_attribute_docstrings")

CASES = {
    "a comment behind code": ("x = 1  # one\ny = 2\n", "x = 1\ny = 2\n"),
    "a comment on a line of its own": ("if x:\n    # why\n    y = 2\n", "if x:\n\n    y = 2\n"),
    "a comment inside brackets": ("x = [\n    1,  # one\n    # two\n    2,\n]\n", "x = [\n    1,\n\n    2,\n]\n"),
    "a comment behind a bracket": ("def f(  # why\n    x,\n): ...\n", "def f(\n    x,\n): ...\n"),
    "no comment: in strings": ("x = '# a'  # b\ny = '''\n# c\n'''\n", "x = '# a'\ny = '''\n# c\n'''\n"),
    "no comment: in f-strings": (
        "x = f'#{y!r:#>8}# {\"#\"}'  # b\ny = f'''{x} # c\n# {x:#x}\n'''  # d\n",
        "x = f'#{y!r:#>8}# {\"#\"}'\ny = f'''{x} # c\n# {x:#x}\n'''\n",
    ),
    "a module's docstring": (
        '"""What.\n\nMore.\n"""\n\nfrom __future__ import annotations\n',
        "\n\n\n\n\nfrom __future__ import annotations\n",
    ),
    "a function's docstring": (
        'def f():\n    """What.\n\n    More.\n    """\n    return 1\n',
        "def f():\n\n\n\n\n    return 1\n",
    ),
    "a body of nothing else": ('class A(B):\n    """What."""\n\n\nx = 1\n', "class A(B):\n    pass\n\n\nx = 1\n"),
    "a body of nothing else, over lines": ('def f():\n\t"""What.\n\n\tMore.\n\t"""\nx = 1\n', "def f():\n\tpass\n\n\n\nx = 1\n"),
    "a body of strings": ("class A:\n    'What.'\n\n    'More.'\nx = 1\n", "class A:\n    pass\n\n\nx = 1\n"),
    "a body of a string and pass": ("class A:\n    'What.'\n    pass\n", "class A:\n\n    pass\n"),
    "a body of a string and a comment": ("class A:\n    # why\n    'What.'  # or not\nx = 1\n", "class A:\n\n    pass\nx = 1\n"),
    "every kind of body": (
        "if x:\n    'a'\nelif y:\n    'b'\nelse:\n    'c'\ntry:\n    'd'\nexcept E:\n    'e'\nelse:\n    'f'\nfinally:\n    'g'\n"
        "match x:\n    case 1:\n        'h'\nfor x in y:\n    'i'\nwhile x:\n    'j'\nwith x:\n    'k'\n",
        "if x:\n    pass\nelif y:\n    pass\nelse:\n    pass\ntry:\n    pass\nexcept E:\n    pass\nelse:\n    pass\nfinally:\n    pass\n"
        "match x:\n    case 1:\n        pass\nfor x in y:\n    pass\nwhile x:\n    pass\nwith x:\n    pass\n",
    ),
    "a constant's string": ('X = 1\n"""One."""\nY = 2\n', "X = 1\n\nY = 2\n"),
    "a field's string": (
        "class A:\n    x: int\n    '''Over\n    lines.'''\n    y: int\n",
        "class A:\n    x: int\n\n\n    y: int\n",
    ),
    "strings put together": (
        "def f():\n    (\n        'a'  # b\n        'c'\n    )\n    return 1\n",
        "def f():\n\n\n\n\n    return 1\n",
    ),
    "raw, and of other words": ("x = 1\nr'''\\d — ü'''\nu'y'\nz = 2\n", "x = 1\n\n\nz = 2\n"),
    "a string before others on its line": ("'a'; x = 1\n'''b\nc'''; y = 2\n", "'a'; x = 1\n'''b\nc'''; y = 2\n"),
    "a string behind others on its line": ("x = 1; 'a'\ny = 2; '''b\nc'''\n", "x = 1; 'a'\ny = 2; '''b\nc'''\n"),
    "a string that ends with a semicolon": ("'a';  # b\nx = 1\n", "'a';\nx = 1\n"),
    "a body on the line of its head": ("def f(): 'a'  # b\nclass A: 'c'\n", "def f(): 'a'\nclass A: 'c'\n"),
    "a string on a continued line": ("x = 1\n\\\n'a'\ny = 2\n'b' \\\n\nz = 3\n", "x = 1\n\\\n'a'\ny = 2\n'b' \\\n\nz = 3\n"),
    "no docstring: bytes, f-strings, dots": (
        "def f():\n    b'a'\n    f'{x}'\n    ...\n",
        "def f():\n    b'a'\n    f'{x}'\n    ...\n",
    ),
    "other letters before a comment": ("größe = 'µ—😀'  # 'ü'\n'ä'\nx = 'é'; 'ö'\n", "größe = 'µ—😀'\n\nx = 'é'; 'ö'\n"),
    "empty lines at the end": ("x = 1\n\n\n# a\n\n", "x = 1\n"),
    "a string at the end": ("x = 1\n'''a\nb'''\n\n", "x = 1\n"),
    "no line end": ("x = 1", "x = 1\n"),
    "a continued line at the end": ("x = 1 \\\n# a\n\n", "x = 1 \\\n\n"),
    "nothing": ("", ""),
    "nothing but words": ("'''a\nb'''\n# c\n", ""),
    "a shebang and an encoding": (
        "#!/usr/bin/python\n# coding: utf-8\n# a\nx = 1\n",
        "#!/usr/bin/python\n# coding: utf-8\n\nx = 1\n",
    ),
    "an encoding below a comment": ("# a\n# -*- coding: utf-8 -*-\nx = 1\n", "\n# -*- coding: utf-8 -*-\nx = 1\n"),
    "no encoding: below code": ("'a'\n# coding: latin-1\nx = 1\n", "\n\nx = 1\n"),
    "no encoding: in the third line": ("\n\n# coding: latin-1\nx = 1\n", "\n\n\nx = 1\n"),
    "no shebang: in the second line": ("\n#!/usr/bin/python\nx = 1\n", "\n\nx = 1\n"),
}


def code(source: bytes) -> str:
    """The AST with lines and columns, without statements that are only a string; where a body ends is not its code's."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in BODIES:
            if isinstance(body := getattr(node, name, None), list):
                left = [one for one in body if not (isinstance(one, ast.Expr) and is_string(one.value))]
                empty = not left and body and not isinstance(node, ast.Module)
                setattr(node, name, [ast.copy_location(ast.Pass(), body[0])] if empty else left)
    for node in ast.walk(tree):
        if isinstance(node, ast.Pass) or any(isinstance(getattr(node, name, None), list) for name in BODIES):
            node.end_lineno = node.end_col_offset = 0
    return ast.dump(tree, include_attributes=True)


def is_string(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@pytest.mark.parametrize(("source", "left"), CASES.values(), ids=CASES)
def test_comments_and_docstrings_are_blanked_and_nothing_else(source, left):
    assert blanked(source.encode()).decode() == left
    assert blanked(left.encode()).decode() == left
    assert code(left.encode()) == code(source.encode())


def test_an_encoding_is_kept_in_letters_too():
    assert blanked(
        "# coding: latin-1\nx = 'ü'  # ä\n'ö'\ny = 1\n".encode("latin-1")
    ) == "# coding: latin-1\nx = 'ü'\n\ny = 1\n".encode("latin-1")
    assert blanked(b"\xef\xbb\xbf'a'\nx = 1\n") == b"\xef\xbb\xbf\nx = 1\n"


@pytest.mark.parametrize("source", [b"def f(:\n", b"x = '''a\n", b"x = (  # a\n", b"'\xff'\n", b"# coding: nothing\n"])
def test_what_is_not_python_is_refused(source):
    with pytest.raises(SyntaxError):
        blanked(source)


@pytest.mark.slow
def test_every_module_keeps_its_code_on_its_lines():
    assert SOURCES
    for path in SOURCES:
        source = path.read_bytes()
        left = blanked(source)
        compile(left, str(path), "exec")
        assert blanked(left) == left, path
        assert code(left) == code(source), path
        assert not any(is_string(node.value) for node in ast.walk(ast.parse(left)) if isinstance(node, ast.Expr)), path


def test_no_module_reads_docstrings():
    assert [path for path in SOURCES for name in READS_DOCSTRINGS if name in blanked(path.read_bytes())] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_job_computes_the_hash_of_its_archive(command, tmp_path):
    packed = command_code(command)
    packed.unpack(tmp_path)
    assert command_code(command, tmp_path).hash == packed.hash


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may change."""
    shutil.copytree(ROOT / "pathology", tmp_path / "pathology", ignore=shutil.ignore_patterns("__pycache__"))
    command = tmp_path / "pathology" / "commands" / "fail.py"
    command.write_text(
        '"""What.\n\nMore.\n"""\n\n# why\nREASON = "none"\n"""Of all."""\n\n\n'
        'def main():\n    """What."""\n    # why\n    raise ValueError(  # so\n        REASON\n    )\n'
    )
    return tmp_path


def test_words_leave_the_hash_alone_and_code_moves_it(package):
    path = package / "pathology" / "commands" / "fail.py"
    source, before = path.read_text(), command_code("fail", package)
    for word, other in (("More", "Less"), ("# why", "# hence"), ("Of all", "Of some"), ("What.", "That."), ("# so", "# then")):
        assert word in source
        path.write_text(source.replace(word, other))
        assert command_code("fail", package).hash == before.hash, word
        assert command_code("fail", package).archive() == before.archive(), word
    for word, other in (('"none"', '"one"'), ("ValueError", "TypeError"), ("main", "run")):
        assert word in source
        path.write_text(source.replace(word, other))
        assert command_code("fail", package).hash != before.hash, word


def test_a_comment_of_one_more_line_moves_the_hash(package):
    path = package / "pathology" / "commands" / "fail.py"
    before = command_code("fail", package).hash
    path.write_text("# a remark\n" + path.read_text())
    assert command_code("fail", package).hash != before


def test_a_traceback_names_the_lines_of_the_repository(package, tmp_path):
    path = package / "pathology" / "commands" / "fail.py"
    job = tmp_path / "job"
    with tarfile.open(fileobj=io.BytesIO(command_code("fail", package).archive())) as archive:
        archive.extractall(job, filter="data")
    unpacked = job / "pathology" / "commands" / "fail.py"
    assert "why" not in unpacked.read_text()
    main = runpy.run_path(str(unpacked))["main"]
    with pytest.raises(ValueError) as raised:
        main()
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.name) == (str(unpacked), "main")
    assert path.read_text().splitlines()[last.lineno - 1] == "    raise ValueError(  # so"
    assert last.line == "raise ValueError("
