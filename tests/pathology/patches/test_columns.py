"""Whose column is meant: by any of its names, however they are written, or by the setting that names it."""

import pytest
from pathology.contracts.errors import DataError
from pathology.patches.columns import Column, find_column, require_column

IMAGE = Column("the patch's file", ("image", "image_name", "filename", "file"), "image-column")
GROUP = Column("the group", ("group", "patient", "patient_id", "case"), "group-column")


@pytest.mark.parametrize(
    "name", ["image", "Image Name", "IMAGE_NAME", "image-name", " ImageName ", "File\u00a0Name", "ｆｉｌｅ", "image‐name"]
)
def test_a_name_is_known_however_it_is_written(name):
    assert find_column(["x", name, "label"], IMAGE, None, "t.csv") == 1
    assert require_column(["x", name, "label"], IMAGE, None, "t.csv") == 1


def test_none_is_no_fault_unless_it_is_needed():
    header = ["picture", "label"]
    assert find_column(header, IMAGE, None, "t.csv") is None
    assert require_column(header, IMAGE, "Picture", "t.csv") == 0
    with pytest.raises(DataError) as missing:
        require_column(header, IMAGE, None, "t.csv")
    assert str(missing.value) == (
        "t.csv: no column for the patch's file among 'picture', 'label': name it with 'image-column', or call it one of "
        "image, image_name, filename, file"
    )


@pytest.mark.parametrize(
    ("header", "candidates"),
    [(["patient", "Case", "label"], "'patient', 'Case'"), (["patient_id", "Patient ID"], "'patient_id', 'Patient ID'")],
)
def test_two_that_it_could_be_are_refused_until_one_is_named(header, candidates):
    with pytest.raises(DataError) as ambiguous:
        find_column(header, GROUP, None, "t.csv")
    assert str(ambiguous.value) == f"t.csv: {candidates} could each hold the group: name the one with 'group-column'"
    assert find_column(header, GROUP, header[1], "t.csv") == 1, "as it is written goes before as it is compared"


def test_a_name_that_the_header_has_not_is_refused():
    with pytest.raises(
        DataError, match=r"t\.csv: 'group-column' is 'Donor', and there is no column for the group among 'image', 'patient'"
    ):
        find_column(["image", "patient"], GROUP, "Donor", "t.csv")
