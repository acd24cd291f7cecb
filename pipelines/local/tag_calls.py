"""Tags of pipelines, of the registry and of hosting; they stand in the resource's own record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.local.errors import missing
from pipelines.local.hosting import config_path, hosted, model_path
from pipelines.local.locks import locked
from pipelines.local.paging import page
from pipelines.local.pipeline_calls import LocalCalls
from pipelines.local.state import read_json, write_json
from steps.shapes import Answer


class TagCalls(LocalCalls):
    """Calls on tags."""

    def _tagged(self, resource: str, operation: str) -> Path:
        kind, _, name = resource.rpartition(":")[2].partition("/")
        paths = {
            "pipeline": lambda: self.state.pipeline(name),
            "model-package-group": lambda: self.state.group_record(name),
            "model-package": lambda: self.state.described(resource),
            "model": lambda: model_path(self.state.root, name),
            "endpoint-config": lambda: config_path(self.state.root, name),
            "endpoint": lambda: hosted(self.state.root, name).record_path,
        }
        path = paths[kind]() if kind in paths and ".." not in name else None
        if path is None or not path.is_file():
            raise missing(operation, f"Resource {resource} does not exist.")
        return path

    def _change_tags(self, path: Path, change: Callable[[dict[str, str]], None]) -> list[dict[str, str]]:
        """Change a record's tags under its lock; what they are then."""
        with locked(path.with_suffix(".lock")):
            record = read_json(path, {})
            tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags", [])}
            change(tags)
            record["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
            write_json(path, record)
        changed: list[dict[str, str]] = record["Tags"]
        return changed

    def add_tags(self, *, ResourceArn: str, Tags: list[dict[str, str]]) -> Answer:
        """AddTags; a key that is there takes the new value."""
        new = {tag["Key"]: tag["Value"] for tag in Tags}
        return {"Tags": self._change_tags(self._tagged(ResourceArn, "AddTags"), lambda tags: tags.update(new))}

    def delete_tags(self, *, ResourceArn: str, TagKeys: list[str]) -> Answer:
        """DeleteTags; one that is not there is as good as deleted."""

        def delete(tags: dict[str, str]) -> None:
            for key in TagKeys:
                tags.pop(key, None)

        self._change_tags(self._tagged(ResourceArn, "DeleteTags"), delete)
        return {}

    def list_tags(self, *, ResourceArn: str, NextToken: str | None = None, MaxResults: int | None = None) -> Answer:
        """ListTags."""
        tags = read_json(self._tagged(ResourceArn, "ListTags"), {}).get("Tags", [])
        return page("ListTags", "Tags", tags, NextToken, MaxResults, usual=50)
