"""Fine-tuning a patch classifier: cross-entropy, accuracy and AUROC on top of :mod:`pathology.training.epochs`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pathology.contracts.log_lines import VALIDATION_ACCURACY, VALIDATION_AUROC, metric_line
from pathology.metrics.ranking import auroc
from pathology.patches.batches import LabelledPatches
from pathology.patches.classifier import PatchClassifier, load_encoder_weights
from pathology.training.batches import Batch
from pathology.training.checkpoints import Best
from pathology.training.epochs import EpochSettings, EpochTraining, World, fit


class PatchTraining(EpochTraining):
    """Trains ``classifier`` on ``train`` and watches ``validation``; the best epoch's trained weights lie in ``folder``."""

    def __init__(
        self,
        classifier: PatchClassifier,
        train: LabelledPatches,
        validation: LabelledPatches,
        settings: EpochSettings,
        world: World,
        folder: Path,
        workers: int,
    ) -> None:
        super().__init__(train, validation, settings, world, folder, workers)
        self.classifier = classifier
        self._validated: list[Tensor] = []

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """Head and encoder."""
        return self.classifier.head, self.classifier.encoder

    def trained(self) -> dict[str, Tensor]:
        """What this way of fine-tuning trains, head included."""
        encoder = {f"encoder.{name}": value for name, value in self.classifier.encoder_state().items()}
        return encoder | {f"head.{name}": value for name, value in self.classifier.head_state().items()}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Cross-entropy; the weights make it the mean over the step's patches on all processes."""
        pixels, targets, weights = batch
        return self.weighted_loss(binary_cross_entropy_with_logits(self.classifier(pixels), targets, reduction="none"), weights)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect logits; they are scored together."""
        pixels, targets, weights = batch
        self._validated.append(torch.stack([self.classifier(pixels), targets, weights]))

    def on_validation_epoch_end(self) -> None:
        """Score the epoch over all processes."""
        logits, targets = self.all_gathered(torch.cat(self._validated, 1)).double()
        self._validated.clear()
        loss = float(binary_cross_entropy_with_logits(logits, targets))
        labels = (targets >= 0.5).cpu().numpy().astype(int)
        accuracy = float(np.mean((logits.cpu().numpy() > 0) == labels))
        lines = [metric_line(VALIDATION_ACCURACY, accuracy)]
        if 0 < labels.sum() < len(labels):
            lines.append(metric_line(VALIDATION_AUROC, auroc(labels, logits.cpu().numpy())))
        self.end_validation(loss, lines)


def train(
    classifier: PatchClassifier,
    data: LabelledPatches,
    validation: LabelledPatches,
    settings: EpochSettings,
    folder: Path,
    workers: int = 0,
) -> Best:
    """Train, taking up what lies in ``folder``; ``classifier`` ends with the best epoch's weights.

    The caller names ``folder`` by all that decides the weights. All processes of torchrun call this.

    Raises:
        RequestError: for a batch size that cannot be shared, or a precision that the GPU has not.
        DataError: when the validation loss was never a number.
    """
    world = World.current()
    training = PatchTraining(classifier, data, validation, settings, world, folder, workers)
    best = fit(training)
    if world.rank == 0:
        encoder, head = best.parts(training.folder, "encoder", "head")
        load_encoder_weights(classifier, encoder, "the best epoch's checkpoint")
        classifier.start_head(head["weight"], head["bias"])
    return best
