"""``python -m infra.checks [TEMPLATE…]``: print what is wrong, exit 1 when there is anything."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pathology.contracts.errors import PathologyError

from infra.checks.notebook import write_script
from infra.checks.suite import TEMPLATES, file_of, findings_of


def main(arguments: list[str]) -> int:
    """0: nothing found. 1: findings, one a line. 2: a template that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m infra.checks", description=__doc__)
    parser.add_argument("templates", nargs="*", type=Path, metavar="TEMPLATE", help="default: the templates in infra/")
    parser.add_argument("--write", action="store_true", help="first put infra/lifecycle/on-start.sh into platform-stack.yml")
    options = parser.parse_args(arguments)
    lines: dict[str, None] = {}  # the network and the platform are looked at together: each finding once
    try:
        if options.write and write_script(TEMPLATES["platform-stack"]):
            print(f"{TEMPLATES['platform-stack'].name}: the notebook's script was put in")
        for path in options.templates or TEMPLATES.values():
            lines |= {f"{file_of(finding, path).name}: {finding}": None for finding in findings_of(path)}
    except PathologyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("".join(f"{line}\n" for line in lines), end="")
    print(f"{len(lines)} findings" if lines else "nothing found", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
