"""Training the nuclear network: HoVer-Net's losses, nuclei scored as they will be found, on :mod:`pathology.training.epochs`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pathology.contracts.lizard.train import TrainLizard
from pathology.contracts.log_lines import VALIDATION_DICE, VALIDATION_IOU, VALIDATION_LOSS, VALIDATION_PQ, metric_line
from pathology.metrics.panoptic import fraction, score
from pathology.nuclei.classes import label_map
from pathology.tasks.lizard.artefact import Validation, restore
from pathology.tasks.lizard.batches import NuclearPatches, targets_of
from pathology.tasks.lizard.losses import losses
from pathology.tasks.lizard.model import Maps, NuclearUnet
from pathology.training.batches import Batch, ValidationBatches, loader
from pathology.training.checkpoints import Best
from pathology.training.epochs import VALIDATION_BATCH, EpochTraining, World, fit

MAX_SCORED = 64
"""Validation patches whose nuclei are found and matched after every epoch, evenly spread: more cost time and hardly tell more."""


class NuclearTraining(EpochTraining):
    """Trains ``net`` on ``train`` and watches ``validation``; the best epoch's trained weights lie in ``folder``.

    Validation's loss, IoU and Dice are means over all its patches, PQ that over at most :data:`MAX_SCORED` of them.
    """

    def __init__(
        self,
        net: NuclearUnet,
        train: NuclearPatches,
        validation: NuclearPatches,
        settings: TrainLizard,
        world: World,
        folder: Path,
        workers: int,
    ) -> None:
        super().__init__(train, validation, settings, world, folder, workers)
        self.net = net
        self.scored = frozenset(evenly(len(validation), MAX_SCORED))
        self._validated: list[Tensor] = []

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """Decoder and encoder."""
        return self.net.decoder, self.net.encoder

    def trained(self) -> dict[str, Tensor]:
        """The decoder and the encoder's adapters."""
        decoder = {f"decoder.{name}": value.detach() for name, value in self.net.decoder.state_dict().items()}
        return decoder | {f"encoder.{name}": value for name, value in self.net.encoder_state().items()}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The mean over the step's patches on all processes."""
        pixels, labels, distances, _, weights = batch
        return self.weighted_loss(losses(self.net(pixels), targets_of(labels, distances)), weights)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Score the batch's patches."""
        numbers, weights = batch[3], batch[4]
        chosen = [number in self.scored for number in numbers.tolist()]
        scores = patch_scores(self.net(batch[0]), batch[1], batch[2], chosen)
        self._validated.append(torch.cat([scores, weights[None].double()]))

    def on_validation_epoch_end(self) -> None:
        """The means over all processes' patches."""
        scores = self.all_gathered(torch.cat(self._validated, 1))
        self._validated.clear()
        loss, iou, dice = scores[:3].mean(1).tolist()
        self.end_validation(loss, _lines(iou, dice, float(scores[3].nanmean())))


def evenly(count: int, max_numbers: int) -> list[int]:
    """Up to ``max_numbers`` numbers below ``count``, evenly spread, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, max_numbers)).round().astype(int)).tolist()


def patch_scores(maps: Maps, labels: Tensor, distances: Tensor, chosen: list[bool]) -> Tensor:
    """Loss, IoU and Dice of nuclear px, and PQ of nuclei of any class, of each patch: (4, B) float64; PQ is NaN unless ``chosen``.

    ``labels`` (B, 2, H, W) and ``distances`` (B, 2, H, W) are the truth. What is 0/0 is 0, as everywhere in the metrics.
    """
    loss = losses(maps, targets_of(labels, distances)).detach().double()
    predicted, true = maps.nucleus > 0, labels[:, 0] > 0
    both, ours, theirs = ((mask.sum((1, 2))).tolist() for mask in (predicted & true, true, predicted))
    iou = [fraction(b, o + t - b) for b, o, t in zip(both, ours, theirs, strict=True)]
    dice = [fraction(2 * b, o + t) for b, o, t in zip(both, ours, theirs, strict=True)]
    pq = [
        score(labels[patch, 0].cpu().numpy(), nuclei_of(maps, patch)[..., 0]).pq if wanted else float("nan")
        for patch, wanted in enumerate(chosen)
    ]
    return torch.cat([loss[None], torch.tensor([iou, dice, pq], dtype=torch.float64, device=loss.device)])


def nuclei_of(maps: Maps, patch: int) -> np.ndarray:
    """The nuclei of one patch of a batch, (H, W, 2) int32, as serving finds them; none where the maps hold no numbers."""
    with torch.no_grad():
        probabilities = Maps(*(value[patch, None] for value in maps)).probabilities()[0].cpu().numpy()
    if not np.isfinite(probabilities).all():
        # The loss says that it diverged, and the epoch is never the best.
        return np.zeros((*probabilities.shape[1:], 2), np.int32)
    return label_map(probabilities[0], probabilities[1:3], probabilities[3:])


def _lines(iou: float, dice: float, pq: float) -> list[str]:
    return [metric_line(name, value) for name, value in ((VALIDATION_IOU, iou), (VALIDATION_DICE, dice), (VALIDATION_PQ, pq))]


def train(
    net: NuclearUnet,
    data: NuclearPatches,
    validation: NuclearPatches,
    settings: TrainLizard,
    folder: Path,
    workers: int = 0,
) -> Best:
    """Train, taking up what lies in ``folder``; in the first process ``net`` ends with the best epoch's weights.

    The caller names ``folder`` by all that decides the weights. All processes of torchrun call this.

    Raises:
        RequestError: for a batch size that cannot be shared, or a precision that the GPU has not.
        DataError: when the validation loss was never a number.
    """
    world = World.current()
    training = NuclearTraining(net, data, validation, settings, world, folder, workers)
    best = fit(training)
    if world.rank == 0:
        restore(net, *best.parts(training.folder, "decoder", "encoder"))
    return best


def validate(net: NuclearUnet, data: NuclearPatches, epoch: int, device: torch.device, workers: int = 0) -> Validation:
    """Score ``net``, its weights those of ``epoch``, on all patches of ``data``, PQ too; print what SageMaker keeps as final."""
    net.to(device).eval()
    scores = []
    with torch.inference_mode():
        for pixels, labels, distances, *_ in loader(ValidationBatches(data, 0, 1, VALIDATION_BATCH), workers):
            maps = net(pixels.to(device))
            scores.append(patch_scores(maps, labels.to(device), distances.to(device), [True] * len(pixels)))
    loss, iou, dice, pq = torch.cat(scores, 1).mean(1).tolist()
    print("\n".join([metric_line(VALIDATION_LOSS, loss), *_lines(iou, dice, pq)]))
    return Validation(patches=len(data), loss=loss, iou=iou, dice=dice, pq=pq, epoch=epoch)
