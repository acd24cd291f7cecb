"""Where a slide's results lie below the features' URI, and when they count as finished."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.features import Sidecar
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri


@dataclass(frozen=True)
class FeatureLayout:
    """``<features>/<settings hash>/``: ``<slide_id>.h5``, ``<slide_id>.json``, claims and collected tables."""

    root: Uri
    settings_hash: str

    @classmethod
    def of(cls, features: str, settings_hash: str) -> FeatureLayout:
        """The layout below a features URI."""
        return cls(Uri.parse(features) / settings_hash, settings_hash)

    def features(self, slide_id: str) -> Uri:
        """The slide's HDF5 file."""
        return self.root / f"{slide_id}.h5"

    def sidecar(self, slide_id: str) -> Uri:
        """The slide's sidecar, written after its file."""
        return self.root / f"{slide_id}.json"

    def outline(self, slide_id: str) -> Uri:
        """The tissue's outline as GeoJSON, for QuPath."""
        return self.root / f"{slide_id}.geojson"

    def overlay(self, slide_id: str) -> Uri:
        """The thumbnail with the tissue's outline and the tiles."""
        return self.root / f"{slide_id}.jpg"

    def claims(self, job: str) -> Uri:
        """The folder of a job's claims: who extracts which slide."""
        return self.root / "claims" / job

    def slides_table(self, content: bytes) -> Uri:
        """slides.csv, in a folder named by its content."""
        return self._by_content(content) / "slides.csv"

    def staging_table(self, content: bytes) -> Uri:
        """staging.csv, in a folder named by its content."""
        return self._by_content(content) / "staging.csv"

    def _by_content(self, content: bytes) -> Uri:
        return self.root / "cohorts" / hashlib.sha256(content).hexdigest()[:16]

    def read_sidecar(self, store: Store, slide_id: str) -> Sidecar | None:
        """The slide's sidecar, or None when there is none.

        Raises:
            DataError: when it is there and is not a sidecar.
        """
        uri = self.sidecar(slide_id)
        if store.entry(uri) is None:
            return None
        sidecar: Sidecar = Sidecar.from_json(store.read(uri), str(uri))
        return sidecar

    def matches(self, sidecar: Sidecar, row: SlideToExtract) -> bool:
        """Whether the sidecar is of these settings, this very slide, this scale and this mask."""
        return sidecar.settings_hash == self.settings_hash and (
            (
                *(sidecar.slide_id, sidecar.slide_uri, sidecar.bytes, sidecar.md5, sidecar.etag, sidecar.companion),
                *(sidecar.cohort_mpp, sidecar.mask_sha256),
            )
            == (
                *(row.slide_id, row.slide_uri, row.bytes, row.md5, row.etag, row.companion),
                *(row.mpp, row.mask_sha256),
            )
        )  # fmt: skip

    def file_fault(self, store: Store, sidecar: Sidecar) -> str:
        """Why the feature file of an ``ok`` sidecar is not what it says: ``gone``, ``changed``, or "" when it is."""
        uri = self.features(sidecar.slide_id)
        if store.entry(uri) is None:
            return "gone"
        return "" if hashlib.sha256(store.read(uri)).hexdigest() == sidecar.sha256 else "changed"
