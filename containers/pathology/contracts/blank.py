"""Sources without comments and docstrings, line for line: what runs of a module, on the lines where it stands in the repository."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import lru_cache

COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=]")
"""How a comment starts that names the source's encoding."""


@lru_cache(maxsize=1024)
def blanked(source: bytes) -> bytes:
    """The source with nothing but empty lines where comments and docstrings were, and none at its end.

    A docstring is any statement that is only a string. It becomes ``pass`` where a body has nothing else, and stays where it
    shares a line with code. So do a shebang and an encoding. The same bytes on every Python, and again when blanked again.

    Raises:
        SyntaxError: when the source is not Python.
    """
    tree = ast.parse(source)
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    lines = io.TextIOWrapper(io.BytesIO(source), encoding).read().split("\n")
    _blank_comments(lines)
    _blank_strings(tree, lines)
    code = "\n".join(lines).rstrip()
    if code.endswith("\\"):
        code += "\n"  # a line that is to be continued needs one more
    return (code + "\n" if code else "").encode(encoding)


def _blank_comments(lines: list[str]) -> None:
    kept = _head(lines)
    if not any("#" in line for line in lines):
        return
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        row = token.start[0] - 1
        if token.type == tokenize.COMMENT and row not in kept:
            lines[row] = lines[row].removesuffix(token.string).rstrip()


def _head(lines: list[str]) -> set[int]:
    """Where a shebang and an encoding stand: in the first line, or the encoding in the second below one without code."""
    kept = {0} if lines[0].startswith("#!") else set()
    for row, line in enumerate(lines[:2]):
        if COOKIE.match(line):
            return kept | {row}
        if line.strip() and not line.lstrip().startswith("#"):
            break
    return kept


def _blank_strings(tree: ast.Module, lines: list[str]) -> None:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if not isinstance(body, list):
                continue
            strings = [statement for statement in body if _is_blankable(statement, lines)]
            if not strings:
                continue
            first = strings[0].lineno - 1
            indent = lines[first][: strings[0].col_offset]
            for statement in strings:
                rows = slice(statement.lineno - 1, statement.end_lineno)
                lines[rows] = [""] * len(lines[rows])
            if len(strings) == len(body) and node is not tree:
                lines[first] = indent + "pass"


def _is_blankable(statement: ast.stmt, lines: list[str]) -> bool:
    """Whether it is only a string, and alone on its lines. Columns count bytes of UTF-8."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str()), lineno=start, end_lineno=int(end), end_col_offset=int(column)):
            before = lines[start - 1].encode()[: statement.col_offset]
            after = lines[end - 1].encode()[column:]
            continues = start > 1 and lines[start - 2].endswith("\\")
            return not before.strip() and not after.strip() and not continues
    return False
