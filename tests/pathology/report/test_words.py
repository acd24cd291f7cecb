"""Words that no report may say, since nobody can know what they claim."""

import re

import pytest

from tests.made import REPOSITORY

UNKNOWN = ("flatter", "no such help", "looked at once", "knows nothing", "seven pathologists", "224 px", "most of seven")
"""What simulation contradicts, what other jobs may have done, and numbers that are data."""
PAGES = sorted(
    path
    for folder in ("containers", "docs/adding-a-task/containers")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix == ".j2" or path.name in {"warnings.py", "report.py"}
)


def test_there_are_pages():
    assert len([path for path in PAGES if path.suffix == ".j2"]) >= 6


@pytest.mark.parametrize("path", PAGES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_page_claims_what_nobody_knows(path):
    text = re.sub(r"\s+", " ", path.read_text())
    assert not [words for words in UNKNOWN if words in text]
