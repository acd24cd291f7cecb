"""What a TCGA barcode says: ``TCGA-AA-3692-01Z-00-DX1`` is site AA, patient TCGA-AA-3692, a diagnostic slide of the primary tumour.

Source: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/ and its table of sample type codes. Letters of either case.
"""

from __future__ import annotations

import re

_BARCODE = re.compile(
    r"TCGA-(?P<site>[A-Z0-9]{2})-[A-Z0-9]{4}(?:-(?P<sample>\d{2})(?:[A-Z]?-\d{2}-(?P<slide>DX|TS|BS|MS)[A-Z0-9]*)?|(?![A-Za-z0-9]))",
    re.IGNORECASE,
)

TISSUES = {
    "01": "primary",
    "05": "primary",
    "02": "recurrent",
    "06": "metastasis",
    "07": "metastasis",
    **dict.fromkeys(("10", "11", "12", "13", "14"), "normal"),
}
"""Sample types of tissue; any other (cell lines, xenografts, controls) is :data:`OTHER`."""
OTHER = "other"

PREPARATIONS = {"DX": "diagnostic", "TS": "frozen", "BS": "frozen", "MS": "frozen"}
"""DX is formalin-fixed; top, bottom and middle sections (TS, BS, MS) are cut from the frozen sample."""


def patient_of(name: str) -> str | None:
    """The first 12 characters of a name that starts with a TCGA barcode, None for any other name."""
    return name[:12] if _BARCODE.match(name) else None


def site_of(name: str) -> str | None:
    """The tissue source site, characters 6–7 of a barcode; None for any other name."""
    match = _BARCODE.match(name)
    return match["site"].upper() if match else None


def kinds_of(name: str) -> tuple[str, ...]:
    """What a barcode says of its slide: ``("diagnostic", "primary")``; what it does not say is absent, as all is of other names."""
    match = _BARCODE.match(name)
    if match is None:
        return ()
    preparation = PREPARATIONS.get((match["slide"] or "").upper())
    tissue = TISSUES.get(match["sample"], OTHER) if match["sample"] else None
    return tuple(kind for kind in (preparation, tissue) if kind)
