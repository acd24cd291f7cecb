"""cohort.csv → one feature file and sidecar per slide; hosts claim slides, largest first, until none is left."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import Sidecar
from pathology.contracts.log_lines import slide_line
from pathology.contracts.settings_msi import ExtractFeatures
from pathology.contracts.storage import Store
from pathology.contracts.tables import CohortRow, read_cohort
from pathology.job import Job, run
from pathology.models.encoder import find_card
from pathology.storage import open_store
from pathology.wsi.fetching import Slides
from pathology.wsi.places import Places
from pathology.wsi.sharing import Share

if TYPE_CHECKING:
    from pathology.models.encoder import Encoder

TERMINATED = 128 + signal.SIGTERM

GRACE = 10.0
"""Seconds that a host which is stopped has for clearing up before it is ended as it is."""


class Extraction:
    """One host's share of the cohort."""

    def __init__(self, job: Job, settings: ExtractFeatures, rows: list[CohortRow], store: Store) -> None:
        folder, card = find_card(job.input("models"))
        if settings.tile_size != card.pixels:
            raise RequestError(f"tile-size {settings.tile_size}: encoder {card.name} takes {card.pixels} px: set it so")
        self.job, self.settings, self.store = job, settings, store
        self.places = Places.of(settings.features, settings.hash(card.name, card.sha256))
        self.share = Share(
            store,
            self.places.claims(job.name),
            rows,
            self.finished,
            host=job.host,
            rank=job.rank,
            hosts=job.world_size,
        )
        mount = job.input("slides") if job.has_input("slides") else None
        self.starved = 0.0
        """Seconds that the encoder waited for tiles of a slide that was there."""
        self.slides = Slides(store, self.share, job.scratch / job.host, mount)
        # Loaded once there is a slide to extract: a host that finds everything finished never imports torch.
        self.encoder: Callable[[], Encoder] = cache(lambda: self._load(folder))

    def _load(self, folder: Path) -> Encoder:
        from pathology.wsi.readers import load_cucim

        load_cucim()  # before torch, or never

        import torch

        from pathology.models.encoder import load_encoder
        from pathology.wsi.tiles import THREADS

        if torch.cuda.is_available():
            return load_encoder(folder, "cuda", self.settings.precision)
        # Readers keep their cores: threads of torch that wait for one another spin, and spinning beside readers costs 3×.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - THREADS))
        return load_encoder(folder, "cpu", self.settings.precision)

    def finished(self, row: CohortRow) -> bool:
        """Whether the slide's sidecar and file say that there is nothing to do. A slide that failed is tried again."""
        try:
            sidecar = self.places.read_sidecar(self.store, row.slide_id)
        except DataError:
            return False  # an unreadable sidecar is overwritten
        if sidecar is None or not self.places.speaks_of(sidecar, row):
            return False
        return sidecar.status == "empty" or (sidecar.status == "ok" and not self.places.holds(self.store, sidecar))

    def extract(self, row: CohortRow) -> Sidecar:
        """Extract one slide: its payload first, its sidecar last."""
        begun = time.monotonic()
        said = {
            "slide_id": row.slide_id,
            "settings_hash": self.places.settings_hash,
            "slide_uri": row.slide_uri,
            "bytes": row.bytes,
            "md5": row.md5,
            "cohort_mpp": row.mpp,
        }
        try:
            said |= self._features(row)
        except DataError as error:
            said |= {"status": "failed", "reason": " ".join(str(error).split())}
        sidecar = Sidecar.model_validate({**said, "seconds": round(time.monotonic() - begun, 3)})
        self.store.write(self.places.sidecar(row.slide_id), sidecar.to_json())
        return sidecar

    def _features(self, row: CohortRow) -> dict[str, object]:
        from pathology.wsi.extraction import extract_slide

        encoder = self.encoder()  # loaded while the first slide is on its way
        target = self.slides.folder / f"{row.slide_id}.h5"
        try:
            with self.slides.local() as path:
                found = extract_slide(
                    path,
                    row.slide_id,
                    target,
                    self.settings,
                    encoder,
                    cohort_mpp=row.mpp,
                    batch_size=self.settings.batch_size,
                    progress=self.slides.progress,
                )
            self.store.write(self.places.outline(row.slide_id), found.outline)
            self.store.write(self.places.overlay(row.slide_id), found.overlay)
            if found.sha256:
                self.store.upload(target, self.places.features(row.slide_id))
            self.starved += found.waited
        finally:
            target.unlink(missing_ok=True)
        return {
            "status": "ok" if found.sha256 else "empty",
            "reason": found.reason,
            "mpp": found.scale.mpp,
            "mpp_source": found.scale.source,
            "tiles": found.tiles,
            "failed_tiles": found.failed_tiles,
            "reader": found.reader,
            "sha256": found.sha256,
        }


def _terminate(scratch: Path, number: int, frame: object) -> None:
    """Leave through every ``finally``: what is in scratch goes, what is claimed stays this host's for a restart."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the first one's clearing up
    # Python drops what is raised inside a destructor or a weak reference's callback, of which imports have many.
    timer = threading.Timer(GRACE, _abandon, [scratch])
    timer.daemon = True
    timer.start()
    os.write(1, b"stopped: finished slides are kept, the one in hand starts again\n")  # the main thread may be inside a print
    sys.exit(TERMINATED)


def _abandon(scratch: Path) -> None:
    """End the process as it is, with nothing of it left on the disk."""
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(TERMINATED)


def share_out(work: Extraction) -> None:
    """Extract the slides that this host claims until none is left, and say what it did."""
    begun = time.monotonic()
    done: list[Sidecar] = []
    with work.slides as slides:
        for row in slides:
            print(slide_line(len(done) + 1, row.slide_id))
            done.append(work.extract(row))
            if done[-1].status != "ok":
                print(f"{row.slide_id} {done[-1].status}: {done[-1].reason}")
    seconds = max(time.monotonic() - begun, 1e-9)
    tiles = sum(sidecar.tiles or 0 for sidecar in done)
    failed = sum(sidecar.status == "failed" for sidecar in done)
    print(
        f"{work.job.host}: {len(done)} slides extracted ({failed} failed), {work.share.before + work.share.skipped} finished before, "
        f"{tiles} tiles in {seconds:.1f} s ({tiles / seconds:.0f} tiles/s), {slides.waited / seconds:.1%} of it waiting for slides "
        f"and {work.starved / seconds:.1%} for tiles"
    )


def main(job: Job) -> None:
    """Claim and extract slides until none is left."""
    signal.signal(signal.SIGTERM, partial(_terminate, job.scratch / job.host))
    settings = job.hyperparameters(ExtractFeatures)
    rows = read_cohort(job.file("cohort", ".csv"))
    try:
        share_out(Extraction(job, settings, rows, open_store()))
    except SystemExit:
        # Stopped, and cleared up. The interpreter would still wait for an S3 transfer's own threads, to the slide's last part.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TERMINATED)


if __name__ == "__main__":
    run(main)
