"""What is and is not a TCGA barcode."""

import pytest
from pathology.cohort.tcga import not_primary, patient_of, site_of

PRIMARY = "TCGA-AA-3692-01Z-00-DX1.6e8c2370-54a7-4fce-b55c-bdb459828990"


@pytest.mark.parametrize(
    ("name", "patient", "site", "reason"),
    [
        (PRIMARY, "TCGA-AA-3692", "AA", None),
        (PRIMARY.replace("01Z", "06Z"), "TCGA-AA-3692", "AA", "metastasis"),
        (PRIMARY.replace("01Z", "11A"), "TCGA-AA-3692", "AA", "normal tissue"),
        ("TCGA-AA-3692", "TCGA-AA-3692", "AA", None),
        ("TCGA-AA-3692.crop", "TCGA-AA-3692", "AA", None),
        ("TCGA-AA-36921", None, None, None),
        ("tcga-aa-3692", None, None, None),
        ("case-TCGA-AA-3692", None, None, None),
    ],
)
def test_barcodes(name, patient, site, reason):
    assert (patient_of(name), site_of(name), not_primary(name)) == (patient, site, reason)
