"""What a model has learnt from: a list in its artefact, and test items held against it.

An item is told again by ids, which the list keeps as pseudonyms; by names, kept as they are; by the sha256 of its contents.
Pseudonyms are not anonymous: who has the artefact and a list of ids can hash these too and see which of them are in it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from pathology.contracts.artefact import LEARNED_FROM
from pathology.contracts.hashes import Sha256
from pathology.contracts.identifiers import normal
from pathology.contracts.strict_json import StrictJson

ByKind = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Item:
    """One item, known to a reader by ``name``; what tells it again, by kind: ``ids`` (patients), ``names``, sha256 of ``contents``.

    A kind without values says that the list has room for it and that this item has none.
    """

    name: str
    ids: ByKind = field(default_factory=dict)
    names: ByKind = field(default_factory=dict)
    contents: ByKind = field(default_factory=dict)


class LearnedFrom(StrictJson):
    """learned-from.json. ``version`` goes up when pseudonyms come to be made otherwise, as by another normal form of ids."""

    version: Literal[1] = 1
    salt: Sha256
    pseudonyms: dict[str, tuple[Sha256, ...]]
    names: dict[str, tuple[str, ...]]
    contents: dict[str, tuple[Sha256, ...]]

    @classmethod
    def of(cls, items: Iterable[Item], inputs: Mapping[str, str]) -> Self:
        """The list of ``items``, in an order of its own. The salt follows from ``inputs``, the sha256 of the tables that name the
        items: the same training packs the same bytes, and lists of two data sets cannot be laid side by side."""
        salt = hashlib.sha256(json.dumps([LEARNED_FROM, sorted(inputs.items())]).encode()).hexdigest()
        found: dict[str, dict[str, set[str]]] = {group: {} for group in ("pseudonyms", "names", "contents")}
        for item in items:
            for group, kind, values in _marks(item, salt):
                found[group].setdefault(kind, set()).update(values)
        lists = {group: {kind: tuple(sorted(values)) for kind, values in sorted(kinds.items())} for group, kinds in found.items()}
        return cls.model_validate({"salt": salt, **lists})

    def seen(self, items: Iterable[Item]) -> list[str]:
        """The names of those ``items`` that have an id, a name or contents in common with what was learnt from."""
        known: dict[tuple[str, str], frozenset[str]] = {
            (group, kind): frozenset(values)
            for group in ("pseudonyms", "names", "contents")
            for kind, values in getattr(self, group).items()
        }
        return [
            item.name
            for item in items
            if any(
                not known.get((group, kind), frozenset()).isdisjoint(values) for group, kind, values in _marks(item, self.salt)
            )
        ]

    def kinds_of(self, given: str) -> list[str]:
        """The kinds under which ``given`` is in the list: an id, a name, or a sha256 of contents, whichever it is."""
        hashed = {kind: pseudonym(given, kind, self.salt) for kind in self.pseudonyms}
        return [
            *(kind for kind, values in self.pseudonyms.items() if hashed[kind] in values),
            *(kind for kind, values in self.names.items() if given in values),
            *(kind for kind, values in self.contents.items() if given.lower() in values),
        ]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that it tells items by."""
        return tuple(kind for group in (self.pseudonyms, self.names, self.contents) for kind, values in group.items() if values)

    def pack(self) -> tuple[str, bytes]:
        """The sha256 and the bytes of the file."""
        content = self.to_json()
        return hashlib.sha256(content).hexdigest(), content


def _marks(item: Item, salt: str) -> Iterator[tuple[str, str, set[str]]]:
    """What the list keeps of an item: group, kind, values."""
    for kind, ids in item.ids.items():
        yield "pseudonyms", kind, {pseudonym(each, kind, salt) for each in ids}
    for kind, names in item.names.items():
        yield "names", kind, set(names)
    for kind, hashes in item.contents.items():
        yield "contents", kind, set(hashes)


def pseudonym(identifier: str, kind: str, salt: str) -> str:
    """HMAC-SHA-256 (RFC 2104) of the id's normal form, keyed with the salt; an id of two kinds has two."""
    return hmac.digest(bytes.fromhex(salt), f"{kind}\0{normal(identifier)}".encode(), "sha256").hex()
