"""Pictures to nuclei: what is taken, windows of many pictures together, no seam, and both forms of the answer."""

import io
import json

import numpy as np
import pytest
from endpoints import animated, bomb, encoded, npy
from nuclear_models import endpoint_root, picture
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.media import GEOJSON, JSON, NPY
from pathology.nuclei.palette import class_colours
from pathology.nuclei.targets import distance_maps
from pathology.nuclei.watershed import STANDARD
from pathology.nuclei.windows import Windows
from PIL import Image
from scipy import ndimage


@pytest.fixture(scope="module")
def model():
    """Random weights, packed and loaded as an endpoint loads them."""
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.tasks.lizard import serving

    return serving.model_fn(endpoint_root() / "model", endpoint_root() / ADDITIONAL_MODEL)


def seeing(failing=0, overflowing=False):
    """In place of a network one that is always right about what it sees: red is nuclei, their maps those of the visible part.

    It has no memory for more than ``failing`` pictures, unless that is 0; ``overflowing`` in half precision.
    """
    import torch
    from pathology.tasks.lizard.model import Maps

    class Seeing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.failing, self.batches = failing, []

        def forward(self, pixels):
            self.batches.append(tuple(pixels.shape))
            if len(pixels) > self.failing > 0:
                raise torch.OutOfMemoryError("CUDA out of memory")
            red = pixels[:, 0].numpy() > 127
            maps = np.stack([distance_maps(ndimage.label(mask)[0]) for mask in red])
            classes = np.stack([~red, np.zeros_like(red), red], axis=1)
            to_logits = [torch.from_numpy(20.0 * values - 10).float() for values in (red, classes)]
            distances = torch.from_numpy(maps)
            if overflowing and torch.is_autocast_enabled("cpu"):
                distances[0, 0, 0, 0] = torch.inf
            return Maps(to_logits[0], distances, to_logits[1])

    return Seeing()


def predictor_of(net):
    """As for a model whose windows are of 256 px and share 64."""
    import torch
    from pathology.tasks.lizard.prediction import Predictor

    return Predictor(net, torch.device("cpu"), STANDARD, 256, 64)


def discs(height, width, radius=9, step=31):
    """A picture of red discs everywhere, many of them across borders of windows, and which px are whose."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows % step - step // 2) ** 2 + (columns % step - step // 2) ** 2 <= radius**2
    image = np.zeros((height, width, 3), np.uint8)
    image[inside, 0] = 255
    return image, ndimage.label(inside)[0]


@pytest.mark.parametrize(("height", "width"), [(256, 256), (300, 700), (40, 530), (513, 257)])
def test_a_nucleus_across_windows_comes_out_once_and_whole(height, width):
    image, truth = discs(height, width)
    (labels,) = predictor_of(seeing()).labels([image])
    assert labels.dtype == np.uint16
    assert np.array_equal(labels[..., 0] > 0, truth > 0)
    pairs = np.unique(np.stack([labels[..., 0], truth])[:, truth > 0], axis=1)
    assert pairs.shape[1] == truth.max(), "each disc is one nucleus and each nucleus one disc"
    assert set(labels[truth > 0, 1]) == {2}


def test_windows_of_many_pictures_go_together_and_never_more_than_said():
    from pathology.tasks.lizard.prediction import MAX_WINDOWS

    net = seeing()
    kinds = [discs(256, 256)[0], discs(300, 700)[0], discs(100, 90)[0]]
    images = [kinds[0]] * 20 + [kinds[1]] * 2 + [kinds[2]] * 3
    together = predictor_of(net).labels(images)
    alone = {image.shape: predictor_of(seeing()).labels([image])[0] for image in kinds}
    assert len(Windows(300, 700)) == 8
    assert [batch[0] for batch in net.batches] == [MAX_WINDOWS, MAX_WINDOWS, 20 + 2 * 8 - 2 * MAX_WINDOWS, 3]
    assert [batch[2:] for batch in net.batches] == [(256, 256)] * 3 + [(100, 90)]
    assert all(np.array_equal(one, alone[image.shape]) for one, image in zip(together, images, strict=True))


def test_what_does_not_fit_the_device_goes_in_parts():
    import torch

    net = seeing(failing=5)
    predictor = predictor_of(net)
    images = [discs(256, 256)[0]] * 18
    labels = predictor.labels(images)
    assert len(labels) == 18 and all(np.array_equal(one, labels[0]) for one in labels)
    assert [batch[0] for batch in net.batches] == [16, 8, 4, 4, 4, 4, 2]
    assert [len(predictor.labels(images[:6])), [batch[0] for batch in net.batches[7:]]] == [6, [4, 2]]
    net.failing, predictor._parts.max_items = 1, 2
    net.forward = lambda pixels: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(DataError, match="no memory for one window of 256 px"):
        predictor.labels(images[:1])


def test_half_precision_says_the_same_and_what_overflows_in_it_is_computed_in_full(model):
    pixels = np.stack([picture(seed, 96, 96) for seed in range(2)])
    predictor = model.predictor
    full, half = (predictor._forward(pixels, half=half) for half in (False, True))
    assert full.dtype == half.dtype == np.float32 and full.shape == (2, 4 + len(LIZARD_CLASSES), 96, 96)
    assert 0 < np.abs(full - half).max() < 0.05

    net = seeing(overflowing=True)
    recovered = predictor_of(net)._forward(pixels, half=True)
    assert np.isfinite(recovered).all() and len(net.batches) == 2


def test_more_nuclei_than_have_numbers_are_refused(monkeypatch):
    from pathology.tasks.lizard import prediction as prediction_module

    monkeypatch.setattr(prediction_module, "MAX_NUCLEI", 63)
    predictor = predictor_of(seeing())
    image = discs(248, 248)[0]
    with pytest.raises(DataError, match="the picture has 64 nuclei, and at most 63 have a number"):
        predictor.labels([image])
    monkeypatch.setattr(prediction_module, "MAX_NUCLEI", 64)
    assert predictor.labels([image])[0].max() == 64


def test_a_network_that_gives_no_numbers_is_named():
    import torch

    net = seeing()
    whole = net.forward

    def diverged(pixels):
        maps = whole(pixels)
        maps.classes[:] = torch.nan
        return maps

    net.forward = diverged
    with pytest.raises(DataError, match="NaN or infinity"):
        predictor_of(net).labels([discs(256, 256)[0]])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 400), (257, 259), (100, 61)])
def test_pictures_of_any_size_are_answered_in_their_size(model, height, width):
    from pathology.tasks.lizard.serving import input_fn, predict_fn

    (answer,) = predict_fn([input_fn(encoded(picture(1, height, width)))], model)
    assert answer.labels.shape == (height, width, 2)
    assert (answer.classes, answer.model_version, answer.mpp) == (LIZARD_CLASSES, model.version, 0.5)
    assert sum(answer.counts().values()) == answer.labels[..., 0].max()


def test_no_pictures_no_answers(model):
    from pathology.tasks.lizard.serving import predict_fn

    assert predict_fn([], model) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 64), np.uint8), r"has shape \(64, 64\) of uint8"),
        (np.zeros((64, 64, 4), np.uint8), r"has shape \(64, 64, 4\) of uint8"),
        (np.zeros((64, 64, 3), np.float32), "of float32, and not"),
        (np.zeros((31, 64, 3), np.uint8), "is 64 × 31 px, and at least 32 px a side are needed"),
    ],
)
def test_what_is_no_picture_is_refused_before_any_work(model, image, message):
    from pathology.tasks.lizard.serving import predict_fn

    with pytest.raises(DataError, match=message):
        predict_fn([picture(0), image], model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the picture: is empty"),
        (npy(), "begins neither as a PNG nor as a JPEG"),
        (bomb(), "declares 20000 × 20000 px, and at most 4,194,304"),
        (animated(), "animated"),
        (encoded(picture(0))[:-100], "cut short"),
        (encoded(picture(0, 31, 500)), "is 500 × 31 px, and at least 32 px"),
        (encoded(Image.fromarray(picture(0)).convert("CMYK"), "JPEG"), "colour mode CMYK"),
        (encoded(Image.new("1", (2049, 2048))), "declares 2049 × 2048 px"),
    ],
)
def test_input_is_refused_in_one_line(content, message):
    from pathology.tasks.lizard.serving import input_fn

    with pytest.raises(DataError, match=message) as caught:
        input_fn(content, "image/png")
    assert "\n" not in str(caught.value)


def test_input_is_taken_as_it_is():
    from pathology.tasks.lizard.serving import MAX_PIXELS, input_fn

    image = picture(2, 91, 333)
    assert np.array_equal(input_fn(encoded(image), "image/png; x=y"), image)
    assert input_fn(encoded(Image.new("RGB", (8192, 512))), "image/png").shape == (512, 8192, 3) and MAX_PIXELS == 8192 * 512
    assert np.abs(input_fn(encoded(image, "JPEG", quality=95), "image/jpeg").astype(int) - image).mean() < 4
    with pytest.raises(RequestError, match="content type 'application/x-npy': send image/png or image/jpeg"):
        input_fn(npy(), "application/x-npy")


def prediction():
    """Three nuclei, one of them at the corner and one with a hole."""
    from pathology.tasks.lizard.serving import Prediction

    labels = np.zeros((40, 50, 2), np.uint16)
    labels[:5, :6] = 1, 2
    labels[10:20, 10:20] = 2, 6
    labels[13:16, 13:16] = 0
    labels[30:40, 45:50] = 3, 2
    return Prediction(labels, LIZARD_CLASSES, "0123456789ab", 0.5)


@pytest.mark.parametrize("accept", [GEOJSON, JSON, "*/*"])
def test_geojson_has_every_nucleus_with_its_class_and_what_they_are_of(accept):
    from pathology.tasks.lizard.serving import output_fn

    answer = json.loads(output_fn(prediction(), accept))
    assert {name: value for name, value in answer.items() if name != "features"} == {
        "type": "FeatureCollection",
        "model_version": "0123456789ab",
        "mpp": 0.5,
        "counts": {"neutrophil": 0, "epithelial": 2, "lymphocyte": 0, "plasma": 0, "eosinophil": 0, "connective": 1},
    }
    assert [one["properties"] for one in answer["features"]] == [
        {"objectType": "detection", "classification": {"name": name, "color": list(class_colours(6)[number])}}
        for name, number in (("epithelial", 1), ("connective", 5), ("epithelial", 1))
    ]
    assert [len(one["geometry"]["coordinates"]) for one in answer["features"]] == [1, 2, 1]
    points = np.concatenate([np.array(ring) for one in answer["features"] for ring in one["geometry"]["coordinates"]])
    assert points.min(0).tolist() == [0, 0] and points.max(0).tolist() == [50, 40]


def test_npy_is_the_label_map_and_needs_no_pickle():
    from pathology.tasks.lizard.serving import output_fn

    labels = np.load(io.BytesIO(output_fn(prediction(), NPY)), allow_pickle=False)
    assert labels.dtype == np.uint16 and np.array_equal(labels, prediction().labels)


def test_a_label_map_of_1280_px_a_side_is_more_than_an_endpoint_may_send():
    from pathology.contracts.media import MAX_BODY
    from pathology.tasks.lizard.serving import Prediction, output_fn

    lengths = [len(output_fn(Prediction(np.zeros((side, side, 2), np.uint16), (), "", 0.5), NPY)) for side in (1250, 1280)]
    assert lengths[0] <= MAX_BODY < lengths[1]


def test_nothing_found_is_an_answer_too():
    from pathology.tasks.lizard.serving import Prediction, output_fn

    empty = Prediction(np.zeros((64, 64, 2), np.uint16), LIZARD_CLASSES, "0123456789ab", 0.5)
    answer = json.loads(output_fn(empty))
    assert answer["features"] == [] and set(answer["counts"].values()) == {0}
    assert not np.load(io.BytesIO(output_fn(empty, NPY))).any()


def test_other_answers_there_are_none():
    from pathology.tasks.lizard.serving import media_type, output_fn

    assert media_type("*/*") == GEOJSON
    with pytest.raises(RequestError, match="accept 'text/csv'"):
        output_fn(prediction(), "text/csv")
