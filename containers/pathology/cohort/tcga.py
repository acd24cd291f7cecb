"""What a TCGA barcode says: ``TCGA-AA-3692-01Z-00-DX1`` is site AA, patient TCGA-AA-3692, sample type 01 (primary tumour).

Source: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/ and its table of sample type codes.
"""

from __future__ import annotations

import re

_BARCODE = re.compile(r"TCGA-(?P<site>[A-Z0-9]{2})-[A-Z0-9]{4}(?:-(?P<sample>\d{2})|(?![A-Za-z0-9]))")

NOT_PRIMARY = {"06": "metastasis", "07": "metastasis", "10": "normal tissue", "11": "normal tissue", "12": "normal tissue"}
"""Sample types whose slides do not show the primary tumour that the patient's label is about."""


def patient_of(name: str) -> str | None:
    """The first 12 characters of a name that starts with a TCGA barcode, None for any other name."""
    return name[:12] if _BARCODE.match(name) else None


def site_of(name: str) -> str | None:
    """The tissue source site, characters 6–7 of a barcode; None for any other name."""
    match = _BARCODE.match(name)
    return match["site"] if match else None


def not_primary(name: str) -> str | None:
    """``metastasis`` or ``normal tissue`` where the sample type (characters 14–15) says so, else None."""
    match = _BARCODE.match(name)
    return NOT_PRIMARY.get(match["sample"] or "") if match else None
