"""CompareTumour: a candidate's evaluation against its threshold and the approved version → comparison.json, and a look in the ledger."""

from __future__ import annotations

from pathology.champion import judge
from pathology.contracts.patches import PatchRow
from pathology.contracts.tumour.comparison import COMPARABLE
from pathology.job import Job, run
from pathology.patches.asking import patch_asking


def main(job: Job) -> None:
    """See :func:`pathology.champion.judge`."""
    judge(job, COMPARABLE, patch_asking(PatchRow))


if __name__ == "__main__":
    run(main)
