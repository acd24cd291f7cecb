"""Whether anything waits in series between the slide and its features: ``python -m benchmarks.embedding``.

Reading alone and embedding alone are timed on the same tiles, then both together, medians of a few takes; ``fraction_of_slower`` is the
tiles/s together over those of the slower one, with the cores divided as ExtractFeatures divides them. On a CPU that is the tiny encoder.
Then an encoder that takes as long for a batch as one thread for half of its tiles, without work of its own as a GPU has none for the cores,
is given tiles by threads as needed: ``needed_…``.

Where there is a GPU, H-optimus-0's real architecture with random weights too: tiles/s, the fraction of its half-precision
peak that they come to (608 GFLOP a tile), and the fraction of the time that the GPU waited for tiles.

``--full-size`` embeds a few tiles by that architecture on this machine's CPU, in float32 and in bfloat16, and prints by how many
millionths the least cosine between them is below 1 (``…_lost_ppm``; the contract is 100); it takes 12 GiB of memory and minutes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from pathology.contracts.extraction.tiling import Tiling
from pathology.host import cores
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.embedding import Embeds, embed_grid, fill
from pathology.wsi.extraction import SlidePlan, plan_slide
from pathology.wsi.reader_threads import START, ReaderThreads, ceiling
from pathology.wsi.tiles import read_runs

from benchmarks.measure import print_figures, seconds_of
from benchmarks.slides import write_slide

if TYPE_CHECKING:
    import torch
    from pathology.contracts.encoder import EncoderManifest

GFLOP = 608.0
"""Of H-optimus-0 for one tile of 224 px: 2 × 1.13 G parameters × 261 tokens, and attention."""

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A10G": 125.0, "L4": 121.0, "T4": 65.0, "A100": 312.0}
"""Dense half-precision tensor peaks in TFLOP/s by the makers' data sheets."""


def together_and_apart(
    plan: SlidePlan, encoder: Embeds, size: int, repeats: int, threads: ReaderThreads | None = None
) -> dict[str, float]:
    """Tiles/s of reading alone, of embedding alone and of both, and the fraction of time that the encoder stalled; ``threads`` by
    need where none are given."""
    threads = threads or ReaderThreads(ceiling(cores()))
    grid = plan.grid
    batch = np.random.default_rng(0).integers(0, 256, (size, grid.tile_size, grid.tile_size, 3), np.uint8)

    def read() -> None:
        for _ in fill(read_runs(plan.slide, grid, 2 * size, threads), size, grid.tile_size):
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
        done = embed_grid(plan.slide, grid, encoder, size, threads=threads)
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


class Paced:
    """An encoder that takes ``seconds`` for a batch and no core; its features are zeros."""

    dimension = 1

    def __init__(self, size: int, seconds: float) -> None:
        self.size, self.seconds = size, seconds

    def batch(self, wanted: int) -> int:
        """Tiles of one batch."""
        return wanted or self.size

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → (B, 1) float16."""
        time.sleep(self.seconds * len(tiles) / self.size)
        return np.zeros((len(tiles), 1), np.float16)


def threads_by_need(plan: SlidePlan, size: int, repeats: int) -> dict[str, float]:
    """What threads by need make of an encoder that takes half of the time that one thread reads for, against one thread and two."""
    one = fixed(1)

    def read() -> None:
        for _ in read_runs(plan.slide, plan.grid, 2 * size, one):
            pass

    pace = 0.5 * seconds_of(read) * size / len(plan.grid)
    encoder = Paced(size, pace)
    most = max(2, ceiling(cores()))
    figures = {"needed_tiles_per_s_encoder": size / pace, "needed_most_threads": float(most)}
    grows = ReaderThreads(most)
    grows.change(1)
    for name, threads in (("one_thread", one), ("two_threads", fixed(2)), ("threads", grows)):
        taken = [embed_grid(plan.slide, plan.grid, encoder, size, threads=threads) for _ in range(repeats)]
        figures[f"needed_waited_{name}"] = statistics.median(done.tile_stall_seconds / done.seconds for done in taken)
    return figures | {"needed_threads": float(grows.number)}


def fixed(number: int) -> ReaderThreads:
    """So many threads, whatever the encoder waits."""
    return ReaderThreads(number, least=number)


def full_size(device: str, layer_scale: float | None = None) -> tuple[EncoderManifest, torch.nn.Module]:
    """H-optimus-0's real architecture with seeded random weights that keep the variance of their input; ``layer_scale`` in place of the
    architecture's own 1e-5, at which random blocks would hide the image from the class token."""
    import torch
    from pathology.contracts.encoder import EncoderManifest
    from pathology.encoders.encoder import H_OPTIMUS_0, H_OPTIMUS_0_ARCHITECTURE, H_OPTIMUS_0_ARGUMENTS, build

    manifest = EncoderManifest(
        name=f"{H_OPTIMUS_0}-random",
        architecture=H_OPTIMUS_0_ARCHITECTURE,
        arguments=H_OPTIMUS_0_ARGUMENTS,
        sha256="0" * 64,
        dimension=1536,
        placeholder=True,
        remark="random weights",
    )
    model = build(manifest).to_empty(device=device).eval().requires_grad_(False)
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.constant_(parameter, layer_scale or 1e-5)
        elif parameter.ndim == 1:
            torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
        else:
            by_token = "token" in name or "pos_embed" in name
            fan_in = parameter.shape[-1] if by_token else parameter[0].numel()
            torch.nn.init.normal_(parameter, std=fan_in**-0.5)
    return manifest, model


def half_precision(plan: SlidePlan, tiles: int) -> dict[str, float]:
    """What the least cosine between embeddings in bfloat16 and in float32 lacks of 1, of ``tiles`` tiles at full size on the CPU."""
    import torch
    from pathology.encoders.encoder import Encoder

    figures: dict[str, float] = {}
    run = next(read_runs(plan.slide, plan.grid, 64))
    for scale in (1.0, 0.1):
        manifest, model = full_size("cpu", scale)
        exact, half = (
            Encoder(manifest, model, torch.device("cpu"), precision).embed(run.tiles[:tiles]).astype(np.float64)
            for precision in ("float32", "bfloat16")
        )
        cosines = (exact * half).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
        centred = exact - exact.mean(axis=0)
        figures[f"full_size_cosine_lost_ppm_layer_scale_{scale:g}"] = float(1 - cosines.min()) * 1e6
        figures[f"full_size_spread_of_tiles_layer_scale_{scale:g}"] = float(np.linalg.norm(centred) / np.linalg.norm(exact))
    return figures


def on_the_gpu(plan: SlidePlan, repeats: int) -> dict[str, float]:
    """The real architecture at full size, random weights, float16."""
    import torch
    from pathology.encoders.encoder import CUDA_BATCH, Encoder

    manifest, model = full_size("cuda")
    figures = together_and_apart(plan, Encoder(manifest, model, torch.device("cuda"), "float16"), CUDA_BATCH, repeats)
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    fraction = {"fraction_of_half_precision_peak": figures["tiles_per_s"] * GFLOP / 1000 / peak} if peak else {}
    print(f"on {name}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB")
    return {f"gpu_{key}": value for key, value in (figures | fraction).items()}


def embedding(
    side: Annotated[int, typer.Option("--side", help="Side of the slide in px.", min=2000)] = 12000,
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 8,
    at_full_size: Annotated[int, typer.Option("--full-size", help="Tiles to embed at full size on the CPU.", min=0)] = 0,
) -> None:
    """Time reading and embedding apart and together."""
    load_cucim()  # before torch, or never

    import torch
    from pathology.encoders.encoder import CPU_BATCH, load_encoder
    from pathology.encoders.tiny import make_tiny_encoder

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.svs"
        write_slide(path, side, 0.25)
        make_tiny_encoder(Path(folder) / "tiny")
        plan = plan_slide(path, Tiling())
        if at_full_size:
            torch.set_num_threads(cores())
            print_figures({"cores": cores(), **half_precision(plan, at_full_size)})
            plan.slide.close()
            return
        readers = min(START, ceiling(cores()))
        torch.set_num_threads(max(1, cores() - readers))
        tiny = load_encoder(Path(folder) / "tiny", "cpu", "float32")
        figures |= together_and_apart(plan, tiny, CPU_BATCH, repeats, ReaderThreads(readers))
        figures |= threads_by_need(plan, CPU_BATCH, repeats)
        if torch.cuda.is_available():
            figures |= on_the_gpu(plan, repeats)
        plan.slide.close()
    print_figures({"cores": cores(), "tiles": len(plan.grid), **figures})


if __name__ == "__main__":
    typer.run(embedding)
