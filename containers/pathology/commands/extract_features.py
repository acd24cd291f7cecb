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

from pathology.contracts.cohort import CohortRow, read_cohort
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.features import Sidecar
from pathology.contracts.log_lines import slide_line
from pathology.contracts.storage import Store
from pathology.encoders.manifest import find_manifest
from pathology.job import Job, run
from pathology.storage import open_store
from pathology.wsi.claims import WorkQueue
from pathology.wsi.layout import FeatureLayout
from pathology.wsi.prefetch import SlidePrefetcher

if TYPE_CHECKING:
    from pathology.encoders.encoder import Encoder

TERMINATED = 128 + signal.SIGTERM

GRACE = 10.0
"""Seconds that a host which is stopped has for clearing up before it is ended as it is."""


class Extraction:
    """What one host extracts of the cohort."""

    def __init__(self, job: Job, settings: ExtractFeaturesJob, rows: list[CohortRow], store: Store) -> None:
        folder, manifest = find_manifest(job.input("models"))
        if settings.tile_size != manifest.pixels:
            raise RequestError(f"tile-size {settings.tile_size}: encoder {manifest.name} takes {manifest.pixels} px: set it so")
        self.job, self.settings, self.store = job, settings, store
        self.layout = FeatureLayout.of(settings.features, settings.hash(manifest.name, manifest.sha256))
        self.queue = WorkQueue(
            store,
            self.layout.claims(job.name),
            rows,
            self.finished,
            host=job.host,
            rank=job.rank,
            hosts=job.world_size,
        )
        mount = job.input("slides") if job.has_input("slides") else None
        self.tile_stall_seconds = 0.0
        """Spent by the encoder waiting for tiles of a slide that was there."""
        self.prefetcher = SlidePrefetcher(store, self.queue, job.scratch / job.host, mount)
        # Loaded once there is a slide to extract: a host that finds everything finished never imports torch.
        self.encoder: Callable[[], Encoder] = cache(lambda: self._load(folder))

    def _load(self, folder: Path) -> Encoder:
        from pathology.wsi.cucim_reader import load_cucim

        load_cucim()  # before torch, or never

        import torch

        from pathology.encoders.encoder import load_encoder
        from pathology.wsi.tiles import THREADS

        if torch.cuda.is_available():
            return load_encoder(folder, "cuda", self.settings.precision)
        # Readers keep their cores: threads of torch that wait for one another spin, and spinning beside readers costs 3×.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - THREADS))
        return load_encoder(folder, "cpu", self.settings.precision)

    def finished(self, row: CohortRow) -> bool:
        """Whether the slide's sidecar and file say that there is nothing to do. A slide that failed is tried again."""
        try:
            sidecar = self.layout.read_sidecar(self.store, row.slide_id)
        except DataError:
            return False  # an unreadable sidecar is overwritten
        if sidecar is None or not self.layout.matches(sidecar, row):
            return False
        return sidecar.status == "empty" or (sidecar.status == "ok" and not self.layout.file_fault(self.store, sidecar))

    def extract(self, row: CohortRow) -> Sidecar:
        """Extract one slide: its payload first, its sidecar last."""
        begun = time.monotonic()
        values = {
            "slide_id": row.slide_id,
            "settings_hash": self.layout.settings_hash,
            "slide_uri": row.slide_uri,
            "bytes": row.bytes,
            "md5": row.md5,
            "companion": row.companion,
            "cohort_mpp": row.mpp,
        }
        try:
            values |= self._features(row)
        except DataError as error:
            values |= {"status": "failed", "reason": " ".join(str(error).split())}
        sidecar = Sidecar.model_validate({**values, "seconds": round(time.monotonic() - begun, 3)})
        self.store.write(self.layout.sidecar(row.slide_id), sidecar.to_json())
        return sidecar

    def _features(self, row: CohortRow) -> dict[str, object]:
        from pathology.wsi.extraction import extract_slide

        encoder = self.encoder()  # loaded while the first slide is on its way
        target = self.prefetcher.folder / f"{row.slide_id}.h5"
        try:
            with self.prefetcher.local() as path:
                extracted = extract_slide(
                    path,
                    row.slide_id,
                    target,
                    self.settings,
                    encoder,
                    cohort_mpp=row.mpp,
                    batch_size=self.settings.batch_size,
                    progress=self.prefetcher.progress,
                )
            self.store.write(self.layout.outline(row.slide_id), extracted.outline)
            self.store.write(self.layout.overlay(row.slide_id), extracted.overlay)
            if extracted.sha256:
                self.store.upload(target, self.layout.features(row.slide_id))
            self.tile_stall_seconds += extracted.tile_stall_seconds
        finally:
            target.unlink(missing_ok=True)
        return {
            "status": "ok" if extracted.sha256 else "empty",
            "reason": extracted.reason,
            "mpp": extracted.scale.mpp,
            "mpp_source": extracted.scale.source,
            "tiles": extracted.tiles,
            "failed_tiles": extracted.failed_tiles,
            "reader": extracted.reader,
            "sha256": extracted.sha256,
            "content_sha256": extracted.content_sha256,
        }


def _terminate(scratch: Path, number: int, frame: object) -> None:
    """Leave through every ``finally``: what is in scratch goes, what is claimed stays this host's for a restart."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the first one's clearing up
    os.write(1, b"stopped: finished slides are kept, the one in progress starts again\n")  # the main thread may be inside a print
    # Python drops what is raised inside a destructor or a weak reference's callback, of which imports have many.
    timer = threading.Timer(GRACE, _abandon, [scratch])
    timer.daemon = True
    timer.start()
    sys.exit(TERMINATED)


def _abandon(scratch: Path) -> None:
    """End the process as it is, with nothing of it left on the disk."""
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(TERMINATED)


def run_claims(work: Extraction) -> None:
    """Extract the slides that this host claims until none is left, and say what it did."""
    begun = time.monotonic()
    done: list[Sidecar] = []
    with work.prefetcher as slides:
        for row in slides:
            print(slide_line(len(done) + 1, row.slide_id))
            done.append(work.extract(row))
            if done[-1].status != "ok":
                print(f"{row.slide_id} {done[-1].status}: {done[-1].reason}")
    seconds = max(time.monotonic() - begun, 1e-9)
    tiles = sum(sidecar.tiles or 0 for sidecar in done)
    failed = sum(sidecar.status == "failed" for sidecar in done)
    finished_before = work.queue.done_before_restart + work.queue.skipped
    print(
        f"{work.job.host}: {len(done)} slides extracted ({failed} failed), {finished_before} finished before, "
        f"{tiles} tiles in {seconds:.1f} s ({tiles / seconds:.0f} tiles/s), "
        f"{work.prefetcher.slide_stall_seconds / seconds:.1%} of it waiting for slides "
        f"and {work.tile_stall_seconds / seconds:.1%} for tiles"
    )


def main(job: Job) -> None:
    """Claim and extract slides until none is left."""
    signal.signal(signal.SIGTERM, partial(_terminate, job.scratch / job.host))
    settings = job.hyperparameters(ExtractFeaturesJob)
    rows = read_cohort(job.file("cohort", ".csv"))
    try:
        run_claims(Extraction(job, settings, rows, open_store()))
    except SystemExit:
        # Stopped, and cleared up. The interpreter would still wait for an S3 transfer's own threads, to the slide's last part.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TERMINATED)


if __name__ == "__main__":
    run(main)
