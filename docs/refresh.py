"""``make docs``: put into README.md what is made from the code. ``--check`` writes nothing and exits 1 when it is stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipelines.builder import build
from pipelines.config import load_environment, load_task
from pipelines.graph import mermaid

README = Path(__file__).resolve().parents[1] / "README.md"
_GRAPH = re.compile(r"(?P<open><!-- graph: [^>]*-->\n).*?(?P<close><!-- /graph -->)", re.DOTALL)


def refreshed(text: str) -> str:
    """The README with the pipeline's picture as the builder makes it now."""
    env = load_environment("example")
    picture = mermaid(build("msi", load_task("msi", env), env).definition)
    return _GRAPH.sub(lambda match: f"{match['open']}```mermaid\n{picture}```\n{match['close']}", text)


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
