"""What a client asks for, among what there is."""

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.media import GEOJSON, JSON, NPY, NUCLEI
from pathology.serving.accept import agree


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", GEOJSON),
        ("*/*", GEOJSON),
        ("application/*", GEOJSON),
        ("application/json", JSON),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        ("application/x-npy", NPY),
        ("application/json, text/plain, */*", JSON),
        ("text/html, application/x-npy;q=0.5", NPY),
        ("application/json;q=0.5, application/x-npy", NPY),
        ("*/*;q=0.1, application/x-npy;q=0.2", NPY),
        ("application/geo+json;q=0, */*", JSON),
        ("application/json;q=2, application/x-npy", JSON),
    ],
)
def test_the_most_wanted_is_chosen(accept, answer):
    assert agree(accept, NUCLEI) == answer


@pytest.mark.parametrize(
    "accept",
    ["text/csv", "image/*", "application/json;q=0", "application/json;q=x", "application/json;q=nan", "*", "json", "*/*;q=0"],
)
def test_what_there_is_not_is_refused(accept):
    with pytest.raises(RequestError, match="the answer is application/geo\\+json or application/json or application/x-npy"):
        agree(accept, NUCLEI)
