"""``make docs``: put into README.md what is made from the code. ``--check`` writes nothing and exits 1 when it is stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipelines.__main__ import VERBS, what
from pipelines.builder import build
from pipelines.config import TASKS, load_environment, load_task
from pipelines.graph import mermaid

README = Path(__file__).resolve().parents[1] / "README.md"


def _between(name: str, content: str, text: str) -> str:
    """``text`` with ``content`` between the marks ``<!-- name: … -->`` and ``<!-- /name -->``."""
    marks = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    return marks.sub(lambda match: match[1] + content + match[2], text)


def refreshed(text: str) -> str:
    """The README with the pipelines' pictures as the builder makes them now, and the verbs as they say what they do."""
    env = load_environment("example")
    for task in TASKS:
        picture = mermaid(build(task, load_task(task, env), env).definition)
        text = _between(f"graph-{task}", f"```mermaid\n{picture}```\n", text)
    rows = "".join(f"| `pipelines.{verb}` | {what(verb)} |\n" for verb in VERBS)
    return _between("verbs", f"| Verb | |\n|---|---|\n{rows}", text)


def main() -> int:
    """Write README.md, or check it."""
    text = README.read_text(encoding="utf-8")
    new = refreshed(text)
    if text == new:
        return 0
    if "--check" in sys.argv:
        print("README.md is stale: run make docs")
        return 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
