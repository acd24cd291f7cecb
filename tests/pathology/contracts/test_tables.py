import pytest
from pathology.contracts.cohort import CohortRow, SlideRow, read_cohort
from pathology.contracts.errors import DataError

HEADER = "slide_id,patient_id,site,kind,slide_uri,bytes,md5,mpp,label,split,fold,name,companion"
SLIDES_HEADER = "slide_id,status,reason,features,sha256,content_sha256,settings_hash,mpp,mpp_source,tiles,failed_tiles,warnings"


def written(tmp_path, *lines):
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_the_contract_of_the_headers():
    assert ",".join(CohortRow.model_fields) == f"{HEADER},mask_uri,mask_sha256"
    assert ",".join(SlideRow.model_fields) == SLIDES_HEADER


def test_a_table_written_is_read_back_and_is_the_same_bytes(tmp_path):
    companion = "0123456789abcdef" * 2
    path = written(
        tmp_path,
        "a,p1,AA,diagnostic primary,s3://b/a.svs,10,,,1,train,0,,",
        f'b-1,p2,AB,,"s3://b/ä, 1.mrxs",11,,0.25,0,test,,"ä, 1",{companion}',
    )
    rows = read_cohort(path)
    assert (rows[0].fold, rows[0].mpp, rows[1].fold, rows[1].mpp) == (0, None, None, 0.25)
    assert (rows[1].name, rows[1].companion) == ("ä, 1", companion)
    assert CohortRow.table(rows) == path.read_bytes()


def test_columns_of_masks_are_there_where_a_slide_has_one(tmp_path):
    path = tmp_path / "cohort.csv"
    sha256 = "ab" * 32
    path.write_text(
        f"{HEADER},mask_uri,mask_sha256\na,p1,AA,,s3://b/a.svs,10,,,1,train,0,,,s3://b/a.png,{sha256}\n"
        "b,p2,AB,,s3://b/b.svs,11,,,0,test,,,,,\n"
    )
    rows = read_cohort(path)
    assert [row.mask_uri for row in rows] == ["s3://b/a.png", ""]
    assert CohortRow.table(rows) == path.read_bytes()
    assert CohortRow.table(rows[1:]).decode().splitlines()[0] == HEADER


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,p1,AA,,u,10,,,2,train,0,,"], "line 2: label"),
        (["a,p1,AA,,u,10,,,1,train,,,"], "a train row has a fold"),
        (["a,p1,AA,,u,10,,,1,valid,0,,"], "split"),
        (["a,p1,AA,,u,10,,,1,train,0,,", "a,p1,AA,,u,10,,,1,train,0,,"], "slide a is duplicated"),
        (["a,p1,AA,,u,10,,,1,train,0,,", "b,p1,AA,,u,10,,,1,test,,,"], "patient p1 has two labels, splits or folds"),
        ([], "the cohort is empty"),
    ],
)
def test_a_wrong_cohort_is_refused_by_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_cohort(written(tmp_path, *lines))


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("slide_id,patient_id\na,b\n")
    with pytest.raises(DataError, match="the column 'site' is missing"):
        CohortRow.read(path)
