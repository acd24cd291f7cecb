"""CompareLizard: a candidate's evaluation against its threshold and the approved version → comparison.json, and a look in the ledger."""

from __future__ import annotations

from pathology.champion import judge
from pathology.job import Job, run
from pathology.tasks.lizard.asking import ASKING
from pathology.tasks.lizard.comparison import COMPARABLE


def main(job: Job) -> None:
    """See :func:`pathology.champion.judge`."""
    judge(job, COMPARABLE, ASKING)


if __name__ == "__main__":
    run(main)
