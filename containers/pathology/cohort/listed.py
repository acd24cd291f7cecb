"""Which file a table means by a slide's name: by path where it gives one, else by the name where one file has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pathology.cohort.labels import Labels, path_key
from pathology.cohort.slides import StoredSlide
from pathology.contracts.identifiers import normal, printable

SHOWN = 3


def match_listed(slides: Iterable[StoredSlide], labels: Labels) -> tuple[dict[str, str], list[str]]:
    """The table's slide for each slide id that it lists, and what cannot be told.

    A picture beside a slide of its name is that slide's thumbnail, unless the table gives the picture's extension.
    """
    named: dict[str, list[StoredSlide]] = {}
    for slide in slides:
        if (stem := normal(slide.name)) in labels.stems:
            named.setdefault(stem, []).append(slide)
    found: dict[str, str] = {}
    problems: list[str] = []
    for stem, files in named.items():
        keys, problem = _match(stem, files, labels)
        found |= keys
        problems += [problem] if problem else []
    return found, problems


def _match(stem: str, files: Sequence[StoredSlide], labels: Labels) -> tuple[dict[str, str], str]:
    """The files of one name, and the table's slides of that name."""
    with_slide = not all(slide.picture for slide in files)
    found: dict[str, str] = {}
    rest: list[StoredSlide] = []
    for slide in files:
        tail = next((tail for tail in _tails(slide) if tail in labels.paths), None)
        thumbnail = slide.picture and with_slide and not (tail or "").endswith(path_key(slide.uri.name))
        if tail is not None and not thumbnail:
            found[slide.slide_id] = labels.paths[tail]
        elif not thumbnail:
            rest.append(slide)
    for key in set(found.values()):
        meant = [slide for slide in files if found.get(slide.slide_id) == key]
        if len(meant) > 1:
            return {}, _ambiguous(labels.written[key], meant)
    free = [key for key in labels.stems[stem] if key not in found.values()]
    if rest and free:
        if len(rest) > 1 or len({labels.slides[key] for key in free}) > 1:
            return found, _ambiguous(" and ".join(labels.written[key] for key in free[:SHOWN]), rest)
        found[rest[0].slide_id] = free[0]
    return found, ""


def _tails(slide: StoredSlide) -> Iterator[str]:
    """What a table may call the file: its URI, its path, and every end of it, each with and without the extension."""
    text = path_key(str(slide.uri))
    suffix = len(path_key(slide.uri.name)) - len(normal(slide.name))
    while True:
        yield text
        yield text[: len(text) - suffix]
        _, separator, text = text.partition("/")
        if not separator:
            return


def _ambiguous(written: str, files: Sequence[StoredSlide]) -> str:
    several = ", ".join(printable(path) for path in sorted(slide.path for slide in files)[:SHOWN]) + (
        ", …" if len(files) > SHOWN else ""
    )
    return (
        f"slide {printable(written)} of the table may be {several}: write the folder and the extension before each name in the "
        "table's column of slides ('folder/name.svs'), or take out what is not meant"
    )
