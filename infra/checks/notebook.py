"""The notebook's own settings, and that the script in the template is the one in infra/lifecycle, without its comments: a template may
have 51,200 bytes."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from pathology.contracts.errors import RequestError

from infra.checks.template import Finding, Findings, Stack, as_list

SCRIPT = Path(__file__).parents[1] / "lifecycle" / "on-start.sh"
MAX_SCRIPT_CHARACTERS = 16_384
"""Of a lifecycle configuration, base64 (SageMaker API reference, NotebookInstanceLifecycleHook)."""
_MARKER = re.compile(r"^( *)# infra/lifecycle/on-start\.sh\b.*\n\1- \|\n((?:\1  .*\n|\n)*)", re.MULTILINE)


def script_in_template() -> str:
    """infra/lifecycle/on-start.sh as the template has it: its first line, and no line that is a comment."""
    first, *lines = SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join([first, *(line for line in lines if not line.lstrip().startswith("#"))])


def check_notebook(stack: Stack) -> Findings:
    """No root, no internet of its own, tokens for instance metadata, an encrypted disk, the lifecycle script."""
    if not stack.of("SageMaker::NotebookInstance"):
        yield Finding("notebook", "there is none")
    for notebook in stack.of("SageMaker::NotebookInstance"):
        if notebook["RootAccess"] != "Disabled":
            yield Finding(notebook.name, "RootAccess is not Disabled")
        if notebook["DirectInternetAccess"] != "Disabled":
            yield Finding(notebook.name, "DirectInternetAccess is not Disabled by default")
        metadata = (notebook["InstanceMetadataServiceConfiguration"] or {}).get("MinimumInstanceMetadataServiceVersion")
        if str(metadata) != "2":
            yield Finding(notebook.name, "answers metadata requests without a token (IMDSv1)")
        if stack.named(notebook["KmsKeyId"], "KMS::Key") is None:
            yield Finding(notebook.name, "its disk is not encrypted with the stack's key")
        lifecycle = stack.named(notebook["LifecycleConfigName"], "SageMaker::NotebookInstanceLifecycleConfig")
        if lifecycle is None:
            yield Finding(notebook.name, "has no lifecycle configuration: nobody mounts EFS")


def check_lifecycle(stack: Stack) -> Findings:
    """The script that starts is infra/lifecycle/on-start.sh behind what it has to know, and not too long."""
    for lifecycle in stack.of("SageMaker::NotebookInstanceLifecycleConfig"):
        hooks = as_list(lifecycle["OnStart"])
        content = str(hooks[0].get("Content")) if len(hooks) == 1 else ""
        script = script_in_template()
        if not content.endswith(f"\n{script}"):
            yield Finding(lifecycle.name, f"its script is not {SCRIPT.name}: run python -m infra.checks --write")
        prologue = content.removesuffix(script)
        wanted = {f"export EFS_ID={stack.outputs.get('EFSFileSystemId')}", "export AWS_REGION=us-east-1"}
        missing = wanted - set(prologue.splitlines())
        if missing or not prologue.startswith("#!/bin/bash\n"):
            yield Finding(lifecycle.name, f"lacks before the script: {', '.join(sorted(missing)) or '#!/bin/bash'}")
        length = len(base64.b64encode(content.encode()))
        if length > MAX_SCRIPT_CHARACTERS:
            yield Finding(lifecycle.name, f"has {length} characters in base64; SageMaker takes {MAX_SCRIPT_CHARACTERS}")


def write_script(template: Path) -> bool:
    """Put infra/lifecycle/on-start.sh into the template's text; whether that changed it.

    Raises:
        RequestError: when the template has no place for it.
    """
    text = template.read_text(encoding="utf-8")
    match = _MARKER.search(text)
    if match is None:
        raise RequestError(f"{template}: there is no line '# infra/lifecycle/on-start.sh …' with '- |' below it: put it back")
    lines = script_in_template().splitlines()
    block = "".join(f"{match[1]}  {line}\n" if line else "\n" for line in lines)
    # The blank lines behind the block belong to the template.
    tail = match[2][len(match[2].rstrip("\n")) + 1 :]
    written = text[: match.start(2)] + block + tail + text[match.end(2) :]
    if written == text:
        return False
    beside = template.with_name(f".{template.name}.new")
    beside.write_text(written, encoding="utf-8")
    beside.replace(template)
    return True
