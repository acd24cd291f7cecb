"""``python -m pipelines``: every verb, and what it does."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from pipelines import __version__
from pipelines.tasks import NAMES

VERBS = (
    *("environment", "doctor", "check_data"),
    *("upsert", "start", "watch", "executions", "show", "logs", "metrics", "stop", "retry", "clean", "delete"),
    *("versions", "version", "report", "compare", "review", "approve", "reject"),
    *("predict", "deploy", "endpoints", "invoke", "undeploy"),
    *("validate", "render", "graph"),
)
"""In the order in which a person meets them."""


def what(verb: str) -> str:
    """The first sentence of a verb's help, read without importing it."""
    text = Path(__file__).with_name(f"{verb}.py").read_text(encoding="utf-8")
    (function,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == verb)
    return (ast.get_docstring(function) or "").partition("\n")[0].partition(". ")[0].removesuffix(".")


def main() -> int:
    """List the verbs, or print the version; a word behind is taken for a verb that was meant."""
    if sys.argv[1:] == ["--version"]:
        print(__version__)
        return 0
    if len(sys.argv) > 1 and sys.argv[1] not in ("--help", "-h"):
        word = sys.argv[1]
        print(
            f"error: write python -m pipelines.{word if word in VERBS else '<verb>, one of ' + ', '.join(VERBS)}", file=sys.stderr
        )
        return 2
    print("python -m pipelines.<verb>, one of:\n")
    for verb in VERBS:
        print(f"  {verb:{max(map(len, VERBS))}}  {what(verb)}")
    print(f"\nTasks, for --task: {', '.join(NAMES)}.")
    print("Each verb knows --help. Where it works: --environment NAME, else\n$PATHOLOGY_ENVIRONMENT, else this machine.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
