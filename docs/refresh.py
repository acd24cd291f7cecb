"""``make docs``: put into README.md and docs/settings.md what is made from the code. ``--check`` writes nothing and exits 1 when it is
stale."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.marks import refresh
from docs.settings import settings
from pipelines.__main__ import VERBS, what
from pipelines.builder import build
from pipelines.config import load_environment, load_task
from pipelines.graph import mermaid
from pipelines.tasks import NAMES

ROOT = Path(__file__).resolve().parents[1]
README, SETTINGS = ROOT / "README.md", ROOT / "docs" / "settings.md"


def readme() -> dict[str, str]:
    """The pictures, as the builder makes them now, of the pipelines that README.md describes, and the verbs as they say what they do."""
    env, text = load_environment("example"), README.read_text(encoding="utf-8")
    described = [task for task in NAMES if f"<!-- graph-{task}: " in text]
    pictures = {task: mermaid(build(task, load_task(task, env), env).definition) for task in described}
    rows = "".join(f"| `pipelines.{verb}` | {what(verb)} |\n" for verb in VERBS)
    graphs = {f"graph-{task}": f"```mermaid\n{picture}```\n" for task, picture in pictures.items()}
    return {**graphs, "verbs": f"| Verb | |\n|---|---|\n{rows}"}


def main() -> int:
    """Write the pages, or check them."""
    pages = {README: readme(), SETTINGS: {"settings": settings()}}
    return max(refresh(page, parts, "make docs") for page, parts in pages.items())


if __name__ == "__main__":
    sys.exit(main())
