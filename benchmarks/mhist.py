"""What the mhist task promises of its encoder and its probe: ``python -m benchmarks.mhist``.

Look-alike patches are painted, prepared as PrepareMhist does, and embedded by the tiny encoder from their files. Every stage is a
process of its own, so that nothing but files goes from one to the next.

``ratio_cached_embedding``: the seconds of the embedding stage over those of the same stage once more, without the start of Python.
``difference_in_points``: between the balanced accuracy on test patches of TrainMhist's probe, as it is packed for serving, and
that of scikit-learn's own scaler and logistic regression, converged further, with the penalty that the probe chose.
``peak_gb_…``: resident memory at most, in 10⁹ bytes, of building and saving H-optimus-0's architecture at full size with random
weights, of loading it strictly in another process, and of embedding one patch there. This takes 4.6 GB in the temporary folder
for a while; ``--no-full-size`` leaves it out. ``full_size_keys_changed``: keys whose tensor has another sum once loaded.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import typer

from benchmarks.measure import print_figures

if TYPE_CHECKING:
    import torch
    from pathology.contracts.mhist.patches import MhistPatchRow

MODELS, DATA, IMAGES, CACHE, FULL_SIZE = "models", "data", "images", "checkpoints", "full-size"
"""Folders of the benchmark below its temporary one."""

Result = TypeVar("Result")


def apart(work: Callable[..., Result], *arguments: object) -> Result:
    """The result of ``work`` in a fresh interpreter, which ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def peak_gb() -> float:
    """The most memory that this process has had resident, in 10⁹ bytes; a process starts with what its parent has at the time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def make_data(folder: Path, count: int) -> list[MhistPatchRow]:
    """Paint and prepare ``count`` patches, and write the tiny encoder; the patches' rows."""
    from pathology.contracts.mhist.prepare import PrepareMhist
    from pathology.encoders.tiny import make_tiny_encoder
    from pathology.tasks.mhist.prepare import prepare

    from demo.patches import make_patches

    make_tiny_encoder(folder / MODELS)
    make_patches(folder / DATA, count)
    settings = PrepareMhist(published_counts=False)
    return prepare(folder / DATA / "annotations.csv", folder / DATA / IMAGES, folder / IMAGES, settings)[0]


def embed(folder: Path, rows: list[MhistPatchRow]) -> tuple[float, np.ndarray]:
    """The seconds of TrainMhist's embedding stage, and the embeddings (N, D) float16."""
    from pathology.encoders.embedding_cache import embed_patches
    from pathology.encoders.encoder import load_encoder
    from pathology.patches.dataset import Patches

    encoder = load_encoder(folder / MODELS)
    patches = Patches(folder / IMAGES, rows, encoder.manifest.pixels)
    hashes = [row.sha256 for row in rows]
    since = time.perf_counter()
    embeddings = embed_patches(encoder, patches, hashes, folder / CACHE)
    return time.perf_counter() - since, embeddings


def compare_probes(rows: list[MhistPatchRow], embeddings: np.ndarray) -> dict[str, float]:
    """Fit on train, choose the penalty on validation, and compare on test, each class by a probability of a half."""
    from pathology.patches.probe import fit_probe
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, splits = np.array([row.label for row in rows]), np.array([row.split for row in rows])
    train, validation, test = (splits == name for name in ("train", "validation", "test"))
    probe = fit_probe(embeddings[train], labels[train].astype(float), embeddings[validation], labels[validation].astype(float))
    ours = probe.head.probabilities(embeddings[test])
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=probe.inverse_penalty, max_iter=50_000, tol=1e-8))
    theirs.fit(embeddings[train].astype(np.float64), labels[train])
    raw = embeddings[test].astype(np.float64)
    points = [100 * float(balanced_accuracy_score(labels[test], called)) for called in (ours >= 0.5, theirs.predict(raw))]
    return {
        "test_patches": int(test.sum()),
        "inverse_penalty": probe.inverse_penalty,
        "balanced_accuracy_probe": points[0],
        "balanced_accuracy_scikit_learn": points[1],
        "difference_in_points": abs(points[0] - points[1]),
        "largest_difference_of_probability": float(np.abs(ours - theirs.predict_proba(raw)[:, 1]).max()),
    }


def fill(model: torch.nn.Module) -> None:
    """Seeded weights in place, no two alike; matrices keep the variance of their input (LeCun et al. 1998)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1:  # LayerScale as large as a norm's scale, or else random blocks would hide the patch from CLS
            middle = 0.0 if name.endswith("bias") else 1.0
            tensor.uniform_(middle - 0.05, middle + 0.05, generator=generator)
        else:
            fan_in = tensor.shape[-1] if "token" in name or "pos_embed" in name else tensor[0].numel()
            tensor.uniform_(-((3 / fan_in) ** 0.5), (3 / fan_in) ** 0.5, generator=generator)


def sums(model: torch.nn.Module) -> dict[str, float]:
    """Each key's tensor summed in float64: equal only if every key holds the tensor it was saved with."""
    import torch

    return {name: float(tensor.sum(dtype=torch.float64)) for name, tensor in model.state_dict().items()}


def build_and_save(folder: Path, changed: Mapping[str, object], dimension: int) -> tuple[dict[str, float], dict[str, float]]:
    """H-optimus-0's architecture, but for the arguments ``changed``, into ``folder``; figures, and each key's sum."""
    import torch
    from pathology.contracts.encoder import MANIFEST, EncoderManifest
    from pathology.contracts.hashes import sha256_of
    from pathology.contracts.storage import atomic_write
    from pathology.encoders.encoder import H_OPTIMUS_0_ARCHITECTURE, H_OPTIMUS_0_ARGUMENTS, build

    manifest = EncoderManifest(
        name="h-optimus-0-random",
        architecture=H_OPTIMUS_0_ARCHITECTURE,
        arguments={**H_OPTIMUS_0_ARGUMENTS, **changed},
        sha256="0" * 64,
        dimension=dimension,
        placeholder=True,
        remark="random weights",
    )
    model = build(manifest).to_empty(device="cpu").eval().requires_grad_(False)
    fill(model)
    folder.mkdir()
    path = folder / manifest.checkpoint
    torch.save(model.state_dict(), path)
    manifest = manifest.model_copy(update={"sha256": sha256_of(path)})
    atomic_write(folder / MANIFEST, manifest.to_json())
    key_sums = sums(model)
    figures = {
        "full_size_keys": len(model.state_dict()),
        "full_size_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "checkpoint_gb": path.stat().st_size / 1e9,
        "peak_gb_build_and_save": peak_gb(),
    }
    return figures, key_sums


def reload(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Load what :func:`build_and_save` wrote as every job does and embed a painted patch; figures, and each key's sum.

    Raises:
        DataError: when it is not what was saved.
    """
    from pathology.encoders.encoder import load_encoder

    from demo.patches import paint

    since = time.perf_counter()
    encoder = load_encoder(folder, precision="float32")
    figures = {"seconds_reload": time.perf_counter() - since}
    key_sums = sums(encoder.model)
    figures["peak_gb_reload"] = peak_gb()
    since = time.perf_counter()
    embedding = encoder.embed(paint(0.0, np.random.default_rng(0))[None])
    figures["seconds_one_patch"] = time.perf_counter() - since
    figures["peak_gb_reload_and_embed"] = peak_gb()
    figures["full_size_embedding_std"] = float(embedding.astype(np.float64).std())
    return figures, key_sums


def save_and_reload(folder: Path, changed: Mapping[str, object], dimension: int) -> dict[str, float]:
    """Both, each in its own process."""
    built, before = apart(build_and_save, folder, changed, dimension)
    loaded, after = apart(reload, folder)
    return built | loaded | {"full_size_keys_changed": sum(after.get(name) != value for name, value in before.items())}


def mhist(
    count: Annotated[int, typer.Option("--count", help="Patches to embed.", min=100)] = 2000,
    full_size: Annotated[bool, typer.Option(help="Build H-optimus-0's architecture at its size as well.")] = True,
) -> None:
    """Time the embedding stage twice, compare the probe, and measure the memory of the full-size encoder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = apart(make_data, folder, count)
        first, embeddings = apart(embed, folder, rows)
        second, known = apart(embed, folder, rows)
        figures: dict[str, float] = {
            "patches": len({row.sha256 for row in rows}),
            "seconds_first": first,
            "seconds_second": second,
            "ratio_cached_embedding": first / second,
            "largest_difference_cached": float(np.abs(known.astype(np.float64) - embeddings).max()),
            **apart(compare_probes, rows, embeddings),
        }
        if full_size:
            from pathology.encoders.describe import DIMENSION

            figures |= save_and_reload(folder / FULL_SIZE, {}, DIMENSION)
    print_figures(figures)


if __name__ == "__main__":
    typer.run(mhist)
