"""Where a slide's results lie below the features' URI, and when they count as finished."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pathology.contracts.features import Sidecar
from pathology.contracts.storage import Store
from pathology.contracts.tables import CohortRow
from pathology.contracts.uris import Uri


@dataclass(frozen=True)
class Places:
    """``<features>/<settings hash>/``: ``<slide_id>.h5``, ``<slide_id>.json``, claims and collected tables."""

    top: Uri
    settings_hash: str

    @classmethod
    def of(cls, features: str, settings_hash: str) -> Places:
        """The places below a features URI."""
        return cls(Uri.parse(features) / settings_hash, settings_hash)

    def features(self, slide_id: str) -> Uri:
        """The slide's HDF5 file."""
        return self.top / f"{slide_id}.h5"

    def sidecar(self, slide_id: str) -> Uri:
        """The slide's sidecar, written after its file."""
        return self.top / f"{slide_id}.json"

    def outline(self, slide_id: str) -> Uri:
        """The tissue's outline as GeoJSON, for QuPath."""
        return self.top / f"{slide_id}.geojson"

    def overlay(self, slide_id: str) -> Uri:
        """The thumbnail with the tissue's outline and the tiles."""
        return self.top / f"{slide_id}.jpg"

    def claims(self, job: str) -> Uri:
        """The folder of a job's claims: who extracts which slide."""
        return self.top / "claims" / job

    def cohort(self, content: bytes) -> Uri:
        """slides.csv, at a place named by its content."""
        return self.top / "cohorts" / hashlib.sha256(content).hexdigest()[:16] / "slides.csv"

    def read_sidecar(self, store: Store, slide_id: str) -> Sidecar | None:
        """The slide's sidecar, or None when there is none.

        Raises:
            DataError: when it is there and is no sidecar.
        """
        uri = self.sidecar(slide_id)
        if store.entry(uri) is None:
            return None
        sidecar: Sidecar = Sidecar.from_json(store.read(uri), str(uri))
        return sidecar

    def speaks_of(self, sidecar: Sidecar, row: CohortRow) -> bool:
        """Whether the sidecar is of these settings, this very slide and this scale."""
        return (
            (sidecar.settings_hash, sidecar.slide_id, sidecar.slide_uri, sidecar.bytes, sidecar.md5, sidecar.cohort_mpp)
            == (self.settings_hash, row.slide_id, row.slide_uri, row.bytes, row.md5, row.mpp)
        )  # fmt: skip

    def holds(self, store: Store, sidecar: Sidecar) -> str:
        """What is wrong with the feature file that an ``ok`` sidecar names: ``gone``, ``changed``, or nothing."""
        uri = self.features(sidecar.slide_id)
        if store.entry(uri) is None:
            return "gone"
        return "" if hashlib.sha256(store.read(uri)).hexdigest() == sidecar.sha256 else "changed"
