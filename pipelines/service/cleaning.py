"""What a task's executions and Prepare steps left behind that nothing uses any more: found, and removed when somebody says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.prepared import COMPLETE, FILE, PREPARED, Handed
from pathology.contracts.runs import RUNS
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri
from pydantic import TypeAdapter

from pipelines.service.removing import remove, remove_empty
from pipelines.service.results import location
from pipelines.service.session import Session
from pipelines.service.uses import EXECUTION_ID, Names, Users, Uses

LEAST_DAYS = 31
"""What the cache answers with for 30 days is younger: whatever it may still point at is then used by an execution that is kept."""
_AGE = re.compile(r"(?P<number>[0-9]{1,4})(?P<unit>[dw])")
_HASH = re.compile(r"[0-9a-f]{32}")
_HANDED: TypeAdapter[dict[str, Handed]] = TypeAdapter(dict[str, Handed])

VERSION = "a model version stands on it"
EXECUTION = "an execution that runs, or is younger, uses it"
PIPELINE = "the deployed pipeline names it"
HANDED = "an execution whose outputs stay was handed it"
YOUNG = "younger"
PREPARING = "an execution is preparing, and may be handed it"
UNREADABLE = "what uses it cannot be read"
FOREIGN = "no folder of an execution or a Prepare step"
GONE = "somebody else removed it"


def age(text: str) -> timedelta:
    """``90d`` or ``12w``.

    Raises:
        RequestError: for anything else, and for less than the cache may still answer.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise RequestError(f"--older-than {text}: write a number of days or weeks, 90d or 12w")
    limit = timedelta(days=int(match["number"]) * (7 if match["unit"] == "w" else 1))
    if limit.days < LEAST_DAYS:
        raise RequestError(
            f"--older-than {text}: the cache answers with outputs of up to 30 days ago, which have to be there: "
            f"give {LEAST_DAYS}d or more"
        )
    return limit


@dataclass(frozen=True)
class Folder:
    """``runs/<pipeline>/<execution>`` or ``prepared/<task>/<hash>``: when its newest object was written, how many it has, bytes."""

    uri: Uri
    newest: datetime
    objects: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"uri": f"{self.uri}/", "newest": self.newest, "objects": self.objects, "bytes": self.bytes}

    @classmethod
    def of(cls, uri: Uri, entries: list[Entry]) -> Folder:
        """Of its objects, one at least."""
        return cls(uri, max(entry.modified for entry in entries), len(entries), sum(entry.bytes for entry in entries))


@dataclass(frozen=True)
class Plan:
    """What would be removed; why the rest is kept; and lines on what should say what executions use and cannot be read."""

    uses: Uses
    remove: tuple[Folder, ...]
    kept: dict[Uri, tuple[str, Folder]]
    unreadable: tuple[str, ...]

    def reasons(self) -> dict[str, list[Folder]]:
        """Kept folders by reason."""
        found: dict[str, list[Folder]] = {}
        for reason, folder in self.kept.values():
            found.setdefault(reason, []).append(folder)
        return dict(sorted(found.items()))

    @property
    def blind(self) -> bool:
        """Whether something would be removed if what uses it could be read."""
        return UNREADABLE in self.reasons()


@dataclass(frozen=True)
class Removal:
    """What became of a folder: objects and bytes that were removed, what could not be and why, or why it was spared after all."""

    folder: Folder
    objects: int = 0
    bytes: int = 0
    failed: dict[Uri, str] = field(default_factory=dict)
    spared: str | None = None


@dataclass
class Cleaning:
    """Of one task, with a limit; each look at what uses what is a new one."""

    session: Session
    task: str
    limit: timedelta
    _handed: dict[tuple[Uri, str], Names | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = now() - self.limit
        self.users = Users(self.session, self.task, self.before)

    # ---- Find ----

    def plan(self, uses: Uses | None = None) -> Plan:
        """What could go now.

        Raises:
            RequestError: when an execution's record is damaged.
        """
        uses = uses or self.users.look()
        runs, files = self._runs()
        kept: dict[Uri, tuple[str, Folder]] = {}
        remove: list[Folder] = []
        staying = dict(files)
        for folder in runs:
            reason = self._why_run(folder, uses)
            if reason is None:
                remove.append(folder)
                staying.pop(folder.uri, None)
            else:
                kept[folder.uri] = (reason, folder)
        names, unreadable = self._read(staying)
        unreadable += list(_without_file(uses, runs, files))
        preparing = any(not root.over and not _files_of(root.identity, root.names, files) for root in uses.roots)
        for folder in self._folders(Uri("s3", self._bucket, f"{PREPARED}/{self.task}")):
            reason = self._why_prepared(folder, uses, names)
            if reason is None and (preparing or unreadable):
                reason = UNREADABLE if unreadable else PREPARING
            if reason is None:
                remove.append(folder)
            else:
                kept[folder.uri] = (reason, folder)
        return Plan(uses, tuple(remove), kept, tuple(unreadable))

    @property
    def _bucket(self) -> str:
        return self.session.environment.bucket

    def _folders(self, top: Uri) -> list[Folder]:
        return [Folder.of(uri, entries) for uri, entries in self._grouped(top).items()]

    def _grouped(self, top: Uri) -> dict[Uri, list[Entry]]:
        grouped: dict[Uri, list[Entry]] = {}
        for entry in self.session.store.list(top):
            grouped.setdefault(replace(entry.uri, path="/".join(entry.uri.path.split("/")[:3])), []).append(entry)
        return grouped

    def _runs(self) -> tuple[list[Folder], dict[Uri, list[Entry]]]:
        """The pipelines' folders; and the prepared.json in every folder, those of other pipelines too, which are never removed:
        another pipeline of the same task may be handed what this one was."""
        grouped = self._grouped(Uri("s3", self._bucket, RUNS))
        own = [Folder.of(uri, entries) for uri, entries in grouped.items() if uri.path.split("/")[1] in self.users.pipelines]
        found = {uri: [entry for entry in entries if _is_handed(entry)] for uri, entries in grouped.items()}
        return own, {uri: entries for uri, entries in found.items() if entries}

    def _why_run(self, folder: Folder, uses: Uses) -> str | None:
        identity = folder.uri.name
        if not EXECUTION_ID.fullmatch(identity) or folder.uri.path.count("/") != 2:
            return FOREIGN
        for reason, names in ((VERSION, uses.by_versions), (EXECUTION, uses.by_executions), (PIPELINE, uses.pipelines)):
            if identity in names.executions:
                return reason
        return YOUNG if folder.newest >= self.before else None

    def _why_prepared(self, folder: Folder, uses: Uses, handed: Names) -> str | None:
        if not _HASH.fullmatch(folder.uri.name):
            return FOREIGN
        said = ((VERSION, uses.by_versions), (EXECUTION, uses.by_executions), (PIPELINE, uses.pipelines), (HANDED, handed))
        for reason, names in said:
            if folder.uri.path in names.prepared:
                return reason
        return YOUNG if folder.newest >= self.before else None

    def _read(self, files: dict[Uri, list[Entry]]) -> tuple[Names, list[str]]:
        """What the prepared.json of folders that stay name, and those that cannot be read."""
        names, unreadable = Names(), []
        for entry in (entry for entries in files.values() for entry in entries):
            key = (entry.uri, entry.mark)
            if key not in self._handed:
                self._handed[key] = self._parsed(entry.uri)
            found = self._handed[key]
            if found is None:
                unreadable.append(f"{location(self.session, entry.uri)} is damaged or gone")
            else:
                names |= found
        return names, unreadable

    def _parsed(self, uri: Uri) -> Names | None:
        try:
            handed = _HANDED.validate_json(self.session.store.read(uri))
        except (DataError, ValueError):
            return None
        return Names.of([one.uri for one in handed.values()], self._bucket) if handed else None

    # ---- Remove ----

    def carry_out(self, plan: Plan) -> Iterator[Removal]:
        """Remove what the plan says, a folder at a time, each looked at again just before: an execution may have started, and a
        folder have got younger. What was broken off is taken up by the next call. ``last`` is the plan that held in the end."""
        self.last = plan
        for folder in plan.remove:
            uses = self.users.look()
            if uses != plan.uses:
                plan = self.last = self.plan(uses)
            if folder.uri in plan.kept:
                yield Removal(folder, spared=plan.kept[folder.uri][0])
                continue
            entries = list(self.session.store.list(folder.uri))
            if not entries:
                yield Removal(folder, spared=GONE)
            elif (now_there := Folder.of(folder.uri, entries)).newest >= self.before:
                yield Removal(now_there, spared=YOUNG)
            else:
                yield self._remove(now_there, entries)

    def _remove(self, folder: Folder, entries: list[Entry]) -> Removal:
        """The mark of a whole folder goes first: what is left of a removal that was broken off is then never taken for whole."""
        store = self.session.store
        marks = [entry for entry in entries if entry.uri == folder.uri / COMPLETE]
        rest = [entry for entry in entries if entry not in marks]
        removed, failed = [], {}
        for batch in (marks, rest):
            failed = remove(store, [entry.uri for entry in batch])
            removed += [entry for entry in batch if entry.uri not in failed]
            if failed:
                break
        remove_empty(store, folder.uri)
        return Removal(folder, len(removed), sum(entry.bytes for entry in removed), failed)


def now() -> datetime:
    """The time that ages are counted from."""
    return datetime.now(UTC)


def _is_handed(entry: Entry) -> bool:
    """``runs/<pipeline>/<execution>/<step>/prepared/prepared.json``."""
    parts = entry.uri.path.split("/")
    return len(parts) == 6 and parts[4:] == [PREPARED, FILE]


def _files_of(identity: str, names: Names, files: Iterable[Uri]) -> bool:
    """Whether an execution, or one whose results it took over, has left word of what it was handed."""
    return any(uri.name in {identity} | names.executions for uri in files)


def _without_file(uses: Uses, runs: Iterable[Folder], files: Iterable[Uri]) -> Iterator[str]:
    """Lines on executions whose outputs are there, without word of what they were handed."""
    there, files = {folder.uri.name for folder in runs}, set(files)
    roots = {root.identity: root for root in uses.roots}
    worked = {identity for identity, root in roots.items() if root.over and root.worked}
    for identity in sorted((worked | uses.of_versions - set(roots)) & there):
        names = roots[identity].names if identity in roots else Names()
        if not _files_of(identity, names, files):
            yield f"execution {identity} has no {FILE}"
