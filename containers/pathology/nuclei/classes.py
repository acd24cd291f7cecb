"""The class of each nucleus, and label maps in CoNIC's layout: channel 0 the instance, channel 1 its class."""

from __future__ import annotations

import numpy as np

from pathology.contracts.errors import DataError
from pathology.nuclei.watershed import STANDARD, WatershedParams, instances


def classify(instance_map: np.ndarray, class_probabilities: np.ndarray) -> np.ndarray:
    """The class of nuclei 1 to n of ``instance_map`` (H, W): (n,) int64 of 1 to K, by the majority of their px.

    ``class_probabilities`` (K + 1, H, W) has the background as channel 0, which has no vote: whether a px is nucleus has been
    decided. Each px votes for its likeliest class; a tie goes to the larger sum of probabilities, then to the lower class. A
    number that no px bears gets class 1.

    Raises:
        DataError: for shapes that disagree, for NaN or infinity.
    """
    if class_probabilities.ndim != 3 or class_probabilities.shape[1:] != instance_map.shape or len(class_probabilities) < 2:
        raise DataError(
            f"class maps {class_probabilities.shape}, instance map {instance_map.shape}: give (K + 1, H, W) and (H, W) of one picture"
        )
    indices = np.flatnonzero(instance_map)
    ids = instance_map.ravel()[indices]
    of_class = class_probabilities.reshape(len(class_probabilities), -1)[1:, indices].astype(np.float32)
    if not np.isfinite(of_class).all():
        raise DataError("class maps: hold NaN or infinity: the network diverged, or half precision overflowed; look there")
    size, classes = int(ids.max(initial=0)) + 1, len(of_class)
    votes = np.bincount(ids * np.int64(classes) + of_class.argmax(0), minlength=size * classes).reshape(size, classes)
    sums = np.stack([np.bincount(ids, weights=values, minlength=size) for values in of_class], axis=1)
    leading = votes == votes.max(1, keepdims=True)
    return np.asarray(np.where(leading, sums, -np.inf).argmax(1)[1:] + 1)


def label_map(
    nucleus: np.ndarray, distances: np.ndarray, class_probabilities: np.ndarray, params: WatershedParams = STANDARD
) -> np.ndarray:
    """A network's maps of one picture to its nuclei: (H, W, 2) int32, instance 1 to n and class 1 to K, 0 background.

    ``nucleus`` (H, W) and ``class_probabilities`` (K + 1, H, W) hold probabilities, ``distances`` (2, H, W) distance maps.

    Raises:
        DataError: see :func:`pathology.nuclei.watershed.instances` and :func:`classify`.
    """
    instance_map = instances(nucleus, distances, params)
    classes = np.concatenate([[0], classify(instance_map, class_probabilities)])
    return np.stack([instance_map, classes[instance_map].astype(np.int32)], axis=-1)


def instance_classes(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and classes of the nuclei in ``labels`` (H, W, 2), whole numbers: two (n,) int64, ascending by id.

    Raises:
        DataError: for another shape, and for a nucleus of two classes or of none from 1 to ``classes``.
    """
    if labels.ndim != 3 or labels.shape[2] != 2 or labels.dtype.kind not in "iu":
        raise DataError(
            f"label map: has shape {labels.shape} of {labels.dtype}, and not (H, W, 2) of whole numbers: give ids and classes"
        )
    pixels = labels.reshape(-1, 2)
    pixels = pixels[pixels[:, 0] != 0].astype(np.int64)
    if not len(pixels):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if pixels[:, 0].min() < 0 or pixels[:, 1].min() < 1 or pixels[:, 1].max() > classes:
        raise DataError(f"label map: has a nucleus of a negative id, or of no class from 1 to {classes}: correct its labels")
    pairs = np.unique(pixels[:, 0] * (classes + 1) + pixels[:, 1])
    ids, kinds = np.divmod(pairs, classes + 1)
    if (ambiguous := ids[1:][np.diff(ids) == 0]).size:
        raise DataError(f"label map: nucleus {ambiguous[0]} has two classes: give each its one class")
    return ids, kinds


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many nuclei of each class ``labels`` (H, W, 2) has, border or not: (K,) int64. Raises as :func:`instance_classes`."""
    return np.asarray(np.bincount(instance_classes(labels, classes)[1], minlength=classes + 1)[1:])
