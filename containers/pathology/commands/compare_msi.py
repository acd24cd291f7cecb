"""CompareMsi: a candidate's evaluation against its threshold and the approved version → comparison.json, and a look in the ledger."""

from __future__ import annotations

from pathology.champion import judge
from pathology.contracts.msi.comparison import COMPARABLE
from pathology.job import Job, run
from pathology.tasks.msi.asking import ASKING


def main(job: Job) -> None:
    """See :func:`pathology.champion.judge`."""
    judge(job, COMPARABLE, ASKING)


if __name__ == "__main__":
    run(main)
