"""Whether anything waits in series between the slide and its features: ``python -m benchmarks.embedding``.

Reading alone and embedding alone are timed on the same tiles, then both together, medians of a few takes; ``fraction_of_slower`` is the
tiles/s together over those of the slower one, with the cores divided as ExtractFeatures divides them. On a CPU that is the tiny encoder.

Where there is a GPU, H-optimus-0's real architecture with random weights too: tiles/s, the fraction of its half-precision
peak that they come to (608 GFLOP a tile), and the fraction of the time that the GPU waited for tiles.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.embedding import embed_grid, fill
from pathology.wsi.extraction import SlidePlan, plan_slide
from pathology.wsi.tiles import read_runs

from benchmarks.measure import print_figures, seconds_of
from benchmarks.slides import write_slide

GFLOP = 608.0
"""Of H-optimus-0 for one tile of 224 px: 2 × 1.13 G parameters × 261 tokens, and attention."""

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A10G": 125.0, "L4": 121.0, "T4": 65.0, "A100": 312.0}
"""Dense half-precision tensor peaks in TFLOP/s by the makers' data sheets."""


def together_and_apart(plan: SlidePlan, encoder, size: int, repeats: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Tiles/s of reading alone, of embedding alone and of both, and the fraction of time that the encoder stalled."""
    grid = plan.grid
    batch = np.random.default_rng(0).integers(0, 256, (size, grid.tile_size, grid.tile_size, 3), np.uint8)

    def read() -> None:
        for _ in fill(read_runs(plan.slide, grid, 2 * size), size, grid.tile_size):
            pass

    def embed() -> None:
        for start in range(0, len(grid), size):
            encoder.embed(batch[: len(grid) - start])

    encoder.embed(batch)
    times: dict[str, list[float]] = {"read": [], "embed": [], "both": []}
    stalls = []
    for _ in range(repeats):
        times["read"].append(seconds_of(read))
        times["embed"].append(seconds_of(embed))
        done = embed_grid(plan.slide, grid, encoder, size)
        times["both"].append(done.seconds)
        stalls.append(done.tile_stall_seconds / done.seconds)
    speed = {name: len(grid) / statistics.median(taken) for name, taken in times.items()}
    return {
        "tiles_per_s_reading": speed["read"],
        "tiles_per_s_embedding": speed["embed"],
        "tiles_per_s": speed["both"],
        "fraction_of_slower": speed["both"] / min(speed["read"], speed["embed"]),
        "waited_fraction": statistics.median(stalls),
    }


def on_the_gpu(plan: SlidePlan, repeats: int) -> dict[str, float]:
    """The real architecture at full size, random weights, float16."""
    import torch
    from pathology.contracts.encoder import EncoderManifest
    from pathology.encoders.encoder import (
        CUDA_BATCH,
        H_OPTIMUS_0,
        H_OPTIMUS_0_ARCHITECTURE,
        H_OPTIMUS_0_ARGUMENTS,
        Encoder,
        build,
    )

    manifest = EncoderManifest(
        name=f"{H_OPTIMUS_0}-random",
        architecture=H_OPTIMUS_0_ARCHITECTURE,
        arguments=H_OPTIMUS_0_ARGUMENTS,
        sha256="0" * 64,
        dimension=1536,
        placeholder=True,
        remark="random weights",
    )
    model = build(manifest).to_empty(device="cuda").eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    figures = together_and_apart(plan, Encoder(manifest, model, torch.device("cuda"), "float16"), CUDA_BATCH, repeats)
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    fraction = {"fraction_of_half_precision_peak": figures["tiles_per_s"] * GFLOP / 1000 / peak} if peak else {}
    print(f"on {name}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB")
    return {f"gpu_{key}": value for key, value in (figures | fraction).items()}


def embedding(
    side: Annotated[int, typer.Option("--side", help="Side of the slide in px.", min=2000)] = 12000,
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 8,
) -> None:
    """Time reading and embedding apart and together."""
    load_cucim()  # before torch, or never

    import torch
    from pathology.encoders.encoder import CPU_BATCH, load_encoder
    from pathology.encoders.tiny import make_tiny_encoder
    from pathology.wsi.tiles import THREADS

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.svs"
        write_slide(path, side, 0.25)
        make_tiny_encoder(Path(folder) / "tiny")
        plan = plan_slide(path, Tiling())
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - THREADS))
        tiny = load_encoder(Path(folder) / "tiny", "cpu", "float32")
        figures |= together_and_apart(plan, tiny, CPU_BATCH, repeats)
        if torch.cuda.is_available():
            figures |= on_the_gpu(plan, repeats)
        plan.slide.close()
    print_figures({"cores": os.cpu_count() or 1, "tiles": len(plan.grid), **figures})


if __name__ == "__main__":
    typer.run(embedding)
