"""Content types that requests to an endpoint and its answers have, and that a model version says it takes."""

from __future__ import annotations

JSON = "application/json"
IMAGES = ("image/png", "image/jpeg")
GEOJSON = "application/geo+json"
NPY = "application/x-npy"
"""An answer only, never a request: whoever decodes it takes care to allow no pickle."""
NUCLEI = (GEOJSON, JSON, NPY)
"""What an endpoint answers of nuclei: outlines, or a label map in CoNIC's layout."""
ATTENTION = (JSON, GEOJSON)
"""What an endpoint answers of a patient: his probability, or besides the attention on each tile of his slides."""

MAX_BODY = 6 * 2**20
"""bytes of a request to a real-time endpoint, and of its answer: SageMaker's own limit."""
