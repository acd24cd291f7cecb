"""Which column of a table is what: by the setting that names it, or by the names that the field uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pathology.cohort.table import Table
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import column_key, normal, printable

SHOWN = 20
"""Columns that an error shows."""


@dataclass(frozen=True)
class Kind:
    """What a column may hold: ``words`` for errors, the ``setting`` that names it, and its usual ``names`` by rank: a table that has
    one of the first group is not asked for those of the next."""

    words: str
    setting: str
    names: tuple[tuple[str, ...], ...]

    @property
    def parameter(self) -> str:
        """The pipeline's parameter: ``PatientColumn``."""
        return "".join(part.capitalize() for part in self.setting.split("-"))


PATIENT = Kind(
    "patient",
    "patient-column",
    (
        ("TCGA Participant Barcode",),
        (
            *("patient", "patient_id", "patients", "patient_barcode", "patient_code", "patient_number", "patient_no", "pat_id"),
            *("case", "case_id", "case_submitter_id", "submitter_id", "case_barcode", "case_number"),
            *("participant", "participant_id", "participant_barcode", "bcr_patient_barcode"),
            *("subject", "subject_id", "individual", "individual_id", "person_id", "donor_id"),
        ),
    ),
)
SLIDE = Kind(
    "slide",
    "slide-column",
    (
        (
            *("slide", "slide_id", "slides", "slide_name", "slide_file", "slide_filename", "slide_path", "slide_barcode"),
            *("filename", "file", "file_name", "path", "wsi", "wsi_id", "wsi_name", "wsi_file", "wsi_path"),
            *("image", "image_id", "image_name", "image_file", "svs"),
        ),
    ),
)
LABEL = Kind(
    "label",
    "label-column",
    (
        ("MSI Status",),
        (
            *("label", "labels", "class", "target", "ground_truth", "outcome"),
            *("msi", "msi_status", "is_msi", "is_msi_h", "msi_label", "msi_class", "microsatellite_status"),
            *("microsatellite_instability", "msi_mss", "mss_msi"),
            *("mmr", "mmr_status", "dmmr", "is_dmmr", "mmr_label", "dmmr_status", "mismatch_repair_status"),
        ),
    ),
)
SPLIT = Kind("split", "split-column", (("split", "partition", "fold", "folds", "set", "subset", "cohort_split", "data_split"),))
SITE = Kind("site", "site-column", (("site", "tissue_source_site", "center", "centre", "hospital", "institution", "institute"),))
MPP = Kind("MPP", "mpp-column", (("mpp", "microns_per_pixel", "um_per_px", "pixel_size_um"),))
MASK = Kind(
    "mask",
    "mask-column",
    (("mask_uri", "mask", "mask_file", "mask_path", "tissue_mask", "own_mask", "annotation_file", "geojson"),),
)
PROJECT = Kind("project", "project", (("TCGA Project Code", "project", "project_id", "project_code"),))


def candidates(header: Sequence[str], kind: Kind) -> list[str]:
    """The columns of the first rank of ``kind``'s names that the header has."""
    for rank in kind.names:
        wanted = {column_key(name) for name in rank}
        if found := [column for column in header if column_key(column) in wanted]:
            return found
    return []


def find_column(table: Table, kind: Kind, wanted: str | None = None) -> str | None:
    """The column that ``wanted`` names, or the only one with a usual name; None without either.

    Columns that say the same of every row are one.

    Raises:
        DataError: when ``wanted`` is not there, or several columns with usual names differ.
    """
    if wanted is not None:
        found = [column for column in table.header if column == wanted]
        found = found or [column for column in table.header if column_key(column) == column_key(wanted)]
        if len(found) != 1:
            count = "no" if not found else "more than one"
            raise DataError(f"{table.where} has {count} {kind.words} column {wanted!r}, only {shown(table.header)}")
        return found[0]
    found = candidates(table.header, kind)
    if len(found) > 1 and not _same(table.rows[found]):
        raise DataError(
            f"{table.where} has several columns that could name the {kind.words}, {shown(found)}, and they differ: "
            f"name one with '{kind.setting}' ({kind.parameter})"
        )
    return found[0] if found else None


def _same(columns: pd.DataFrame) -> bool:
    normalised = columns.map(normal)
    return bool(normalised.eq(normalised.iloc[:, 0], axis=0).all(axis=None))


def missing(table: Table, kind: Kind, known: Mapping[str, str | None]) -> str:
    """What to say when a table has no column of ``kind``: the columns, with what those are that were recognised."""
    roles = {column: role for role, column in known.items() if column}
    columns = [f"{printable(name)!r}" + (f" (the {roles[name]})" if name in roles else "") for name in table.header[:SHOWN]]
    more = ", …" if len(table.header) > SHOWN else ""
    return (
        f"{table.where} has no column that names the {kind.words}, only {', '.join(columns)}{more}: "
        f"name it with '{kind.setting}' ({kind.parameter})"
    )


def shown(names: Sequence[str]) -> str:
    """Names of columns for an error."""
    return ", ".join(repr(printable(name)) for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
