"""What is and is not a TCGA barcode."""

import pytest
from pathology.cohort.tcga import kinds_of, patient_of, site_of

PRIMARY = "TCGA-AA-3692-01Z-00-DX1.6e8c2370-54a7-4fce-b55c-bdb459828990"


@pytest.mark.parametrize(
    ("name", "patient", "site", "kinds"),
    [
        (PRIMARY, "TCGA-AA-3692", "AA", ("diagnostic", "primary")),
        (PRIMARY.replace("01Z", "06Z"), "TCGA-AA-3692", "AA", ("diagnostic", "metastasis")),
        (PRIMARY.replace("01Z", "02Z"), "TCGA-AA-3692", "AA", ("diagnostic", "recurrent")),
        ("TCGA-AA-3692-11A-01-TS1.0a", "TCGA-AA-3692", "AA", ("frozen", "normal")),
        ("TCGA-AA-3692-01A-01-BSA.0a", "TCGA-AA-3692", "AA", ("frozen", "primary")),
        ("TCGA-AA-3692-50A-01-TS1", "TCGA-AA-3692", "AA", ("frozen", "other")),
        ("TCGA-AA-3692-01Z", "TCGA-AA-3692", "AA", ("primary",)),
        ("TCGA-AA-3692", "TCGA-AA-3692", "AA", ()),
        ("TCGA-AA-3692.crop", "TCGA-AA-3692", "AA", ()),
        ("tcga-aa-3692-01z-00-dx1", "tcga-aa-3692", "AA", ("diagnostic", "primary")),
        ("TCGA-AA-36921", None, None, ()),
        ("case-TCGA-AA-3692", None, None, ()),
    ],
)
def test_barcodes(name, patient, site, kinds):
    assert (patient_of(name), site_of(name), kinds_of(name)) == (patient, site, kinds)
