"""PrepareMsi's hyperparameters."""

from __future__ import annotations

from pathology.contracts.settings import Names, OptionalName, OptionalUri, Seed, Settings, setting
from pathology.contracts.uris import UriText


class PrepareMsi(Settings):
    """Slides and a label table → cohort.csv.

    Columns left at ``none`` are found by name: Liu et al. 2018's headers, or ``patient_id`` (or ``slide_id``) and ``label``.
    """

    patient_column: OptionalName = setting(None, "Column of the label table with the patient.")
    label_column: OptionalName = setting(None, "Column of the label table with the label.")
    project: OptionalName = setting("COAD", "TCGA project whose rows are taken, where the table has projects.")
    positive: Names = setting(("MSI-H",), "Values of the label that are class 1.")
    negative: Names = setting(("MSI-L", "MSS"), "Values of the label that are class 0; what is in neither is left out.")
    test_fraction: float = setting(0.25, "Fraction of the patients that is set apart for the test.", parameter=True, gt=0, lt=1)
    folds: int = setting(5, "Folds of the cross-validation over the other patients.", ge=2, le=20)
    seed: Seed = setting(0, "Seed of the split.", parameter=True)


class PrepareMsiJob(PrepareMsi):
    """What the job gets besides from the graph."""

    slides: UriText = setting(..., "A folder of slides, or the root that a GDC manifest was downloaded to.")
    manifest: OptionalUri = setting(None, "The GDC manifest.")
