"""slides_to_extract.csv → one feature file and sidecar per slide; hosts claim slides, largest first, until none is left. On a host with
several GPUs it starts itself once a GPU, and each of these workers claims slides as a host does."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.extraction.slides import SlideToExtract, read_slides
from pathology.contracts.features import Sidecar
from pathology.contracts.log_lines import slide_line, slides_done_line
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.encoders.job_encoder import find_encoder
from pathology.host import cores, gpus, memory
from pathology.job import Job, run
from pathology.storage import open_store
from pathology.workers import Worker, end_with_parent, run_workers
from pathology.wsi.claims import WorkQueue
from pathology.wsi.layout import FeatureLayout
from pathology.wsi.prefetch import SlidePrefetcher
from pathology.wsi.reader_threads import START, ReaderThreads, ceiling

if TYPE_CHECKING:
    from pathology.encoders.encoder import Encoder

TERMINATED = 128 + signal.SIGTERM

GRACE = 10.0
"""Seconds that a host which is stopped has for clearing up before it is ended as it is."""

PARENT_GRACE = 15.0
"""The same for the process that waits for workers, which have theirs."""

WORKER_BYTES = 3 * 2**30
"""Memory of a worker beside its encoder's weights: the libraries, CUDA's context, tiles and what the reader keeps of a slide."""

LOADING_FACTOR = 2
"""While an encoder is loaded its checkpoint may be in memory twice: as it is stored, and in float32."""


class Extraction:
    """What one host extracts of the cohort, or one ``worker`` of several on a host."""

    def __init__(
        self, job: Job, settings: ExtractFeaturesJob, rows: list[SlideToExtract], store: Store, worker: Worker | None = None
    ) -> None:
        worker = worker or Worker()
        folder, manifest = find_encoder(job)
        if settings.tile_size != manifest.pixels:
            raise RequestError(f"tile-size {settings.tile_size}: encoder {manifest.name} takes {manifest.pixels} px: set it so")
        self.job, self.settings, self.store, self.worker, self.slides = job, settings, store, worker, len(rows)
        self.name = worker.name(job.host)
        self.layout = FeatureLayout.of(settings.features, settings.hash(manifest.name, manifest.sha256))
        self.queue = WorkQueue(
            store,
            self.layout.claims(job.name),
            rows,
            self.finished,
            host=self.name,
            rank=job.rank * worker.count + worker.number - 1,
            hosts=job.world_size * worker.count,
        )
        mount = job.input("slides") if job.has_input("slides") else None
        self.tile_stall_seconds = 0.0
        """Spent by the encoder waiting for tiles of a slide that was there."""
        self.prefetcher = SlidePrefetcher(store, self.queue, job.scratch / self.name, mount, sharing=worker.count)
        self.cores = max(1, cores() // worker.count)
        self.threads = ReaderThreads(ceiling(self.cores, settings.reader_threads))
        # Loaded once there is a slide to extract: a host that finds everything finished never imports torch.
        self.encoder: Callable[[], Encoder] = cache(lambda: self._load(folder))

    def _load(self, folder: Path) -> Encoder:
        from pathology.wsi.cucim_reader import load_cucim

        load_cucim()  # before torch, or never

        import torch

        from pathology.encoders.encoder import load_encoder

        if torch.cuda.is_available():
            where = torch.cuda.get_device_name()
            encoder = load_encoder(folder, "cuda", self.settings.precision)
        else:
            where = "the CPU"
            if not self.settings.reader_threads:
                self.threads = ReaderThreads(min(START, self.threads.most))
            # Readers keep their cores: threads of torch that wait for one another spin, and spinning beside readers costs 3×.
            torch.set_num_threads(max(1, self.cores - self.threads.most))
            encoder = load_encoder(folder, "cpu", self.settings.precision)
        print(
            f"{self.name}: encoder {encoder.manifest.name} in {encoder.arithmetic} on {where}; {self.threads.number} reader threads, "
            f"at most {self.threads.most} of {self.cores} cores"
        )
        return encoder

    @property
    def finished_before(self) -> int:
        """Slides that this host claimed and that needed nothing, or that it was done with before a restart."""
        return self.queue.done_before_restart + self.queue.skipped

    def done_line(self, extracted: int) -> str:
        """How far this host is, which has ``extracted`` so many."""
        return slides_done_line(self.finished_before + extracted, self.slides)

    def finished(self, row: SlideToExtract) -> bool:
        """Whether the slide's sidecar and file say that there is nothing to do. A slide that failed is tried again."""
        try:
            sidecar = self.layout.read_sidecar(self.store, row.slide_id)
        except DataError:
            return False  # an unreadable sidecar is overwritten
        if sidecar is None or not self.layout.matches(sidecar, row):
            return False
        return sidecar.status == "empty" or (sidecar.status == "ok" and not self.layout.file_fault(self.store, sidecar))

    def extract(self, row: SlideToExtract) -> Sidecar:
        """Extract one slide: its payload first, its sidecar last."""
        begun = time.monotonic()
        values = {
            "slide_id": row.slide_id,
            "settings_hash": self.layout.settings_hash,
            "slide_uri": row.slide_uri,
            "bytes": row.bytes,
            "md5": row.md5,
            "etag": row.etag,
            "companion": row.companion,
            "cohort_mpp": row.mpp,
            "mask_uri": row.mask_uri,
            "mask_sha256": row.mask_sha256,
        }
        try:
            values |= self._features(row)
        except DataError as error:
            values |= {"status": "failed", "reason": " ".join(str(error).split())}
        sidecar = Sidecar.model_validate({**values, "seconds": round(time.monotonic() - begun, 3)})
        self.store.write(self.layout.sidecar(row.slide_id), sidecar.to_json())
        return sidecar

    def _features(self, row: SlideToExtract) -> dict[str, object]:
        from pathology.wsi.extraction import extract_slide

        own_mask = self._own_mask(row)
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
                    own_mask=own_mask,
                    batch_size=self.settings.batch_size,
                    progress=self.prefetcher.progress,
                    threads=self.threads,
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
            "warnings": extracted.warnings,
            "outline_origin": extracted.origin,
            "tissue": extracted.tissue,
            "tissue_fraction": round(extracted.tissue_fraction, 4),
            "tiles_with_ink": extracted.tiles_with_ink,
            "colours": extracted.colours,
        }

    def _own_mask(self, row: SlideToExtract) -> bytes | None:
        """The slide's own mask, the very one that the cohort was prepared with; None where it has none."""
        if not row.mask_uri:
            return None
        from pathology.wsi.own_mask import MAX_BYTES

        uri = Uri.parse(row.mask_uri)
        entry = self.store.entry(uri)
        if entry is not None and entry.bytes > MAX_BYTES:
            raise DataError(f"its mask {uri} has {entry.bytes:,} bytes, {MAX_BYTES:,} at most: save it with fewer points or px")
        content = self.store.read(uri)
        if hashlib.sha256(content).hexdigest() != row.mask_sha256:
            raise DataError(f"its mask {uri} changed since the cohort was prepared: prepare it again")
        return content


def _terminate(scratch: Path, grace: float, number: int, frame: object) -> None:
    """Leave through every ``finally``: what is in scratch goes, what is claimed stays this host's for a restart."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the first one's clearing up
    with suppress(OSError):  # a worker may have nobody left who listens
        os.write(
            1, b"stopped: finished slides are kept, the one in progress starts again\n"
        )  # the main thread may be inside a print
    # Python drops what is raised inside a destructor or a weak reference's callback, of which imports have many.
    timer = threading.Timer(grace, _abandon, [scratch])
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
            print(work.done_line(len(done)))
            print(slide_line(len(done) + 1, row.slide_id))
            done.append(work.extract(row))
            if done[-1].status != "ok":
                print(f"{row.slide_id} {done[-1].status}: {done[-1].reason}")
            for warning in done[-1].warnings:
                print(f"warning: {row.slide_id}: {warning}")
    print(work.done_line(len(done)))
    seconds = max(time.monotonic() - begun, 1e-9)
    tiles = sum(sidecar.tiles or 0 for sidecar in done)
    failed = sum(sidecar.status == "failed" for sidecar in done)
    print(
        f"{work.name}: {len(done)} slides extracted ({failed} failed), {work.finished_before} finished before, "
        f"{tiles} tiles in {seconds:.1f} s ({tiles / seconds:.0f} tiles/s), "
        f"{work.prefetcher.slide_stall_seconds / seconds:.1%} of it waiting for slides "
        f"and {work.tile_stall_seconds / seconds:.1%} for tiles ({work.threads.summary()})"
    )


def devices_for_workers(job: Job) -> list[str]:
    """The GPUs that get a worker each: all of the host's, or as many as its memory holds encoders of this size for, which is said."""
    devices = gpus()
    folder, manifest = find_encoder(job)
    checkpoint = folder / manifest.checkpoint
    needed = WORKER_BYTES + LOADING_FACTOR * (checkpoint.stat().st_size if checkpoint.is_file() else 0)
    fitting = max(1, memory() // needed)
    if fitting < len(devices):
        print(
            f"{job.host}: {len(devices)} GPUs, and memory for {fitting} workers of {needed / 2**30:.1f} GiB: the others stay idle"
        )
    return devices[:fitting]


def main(job: Job) -> None:
    """Claim and extract slides until none is left, in a process a GPU where there are several."""
    settings = job.hyperparameters(ExtractFeaturesJob)
    worker = Worker.current()
    if worker is not None:
        end_with_parent()
    devices = devices_for_workers(job) if worker is None else []
    alone = worker or Worker()
    grace = GRACE if len(devices) <= 1 else PARENT_GRACE
    signal.signal(signal.SIGTERM, partial(_terminate, job.scratch / alone.name(job.host), grace))
    try:
        if len(devices) > 1:
            print(f"{job.host}: {len(devices)} workers, one a GPU")
            run_workers(devices)
        else:
            run_claims(Extraction(job, settings, read_slides(job.file("slides_to_extract", ".csv")), open_store(), alone))
    except SystemExit:
        # Stopped, and cleared up. The interpreter would still wait for an S3 transfer's own threads, to the slide's last part.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TERMINATED)


if __name__ == "__main__":
    run(main)
