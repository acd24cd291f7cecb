"""The mhist endpoint as it is served, its real model inside: crowds, ill will, its memory, and its end."""

import json

import numpy as np
import pytest
from endpoints import JPEG, MIB, PNG, REFUSED, assert_all_refused, assert_batched, encoded, end_in_flight, endpoint, refused
from PIL import Image

from benchmarks.serving import make_root, patches
from tests.made import made_once

BATCHED = 1e-3
"""How far a probability may lie from that of the patch alone: half-precision sums depend on the batch."""
STORM = 16
"""Requests at one time."""
DECODERS = 4
"""Pictures that are decoded at one time where it is deployed."""
MAX_GROWTH = 200e6
"""bytes"""


def start(folder, **environment):
    """Starts ``pathology-run serve`` over a packed model of random weights with the code that serves it, and the tiny encoder."""
    return endpoint(made_once("endpoint-mhist", make_root), folder, **environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.end() == 0


@pytest.fixture(scope="module")
def worn(tmp_path_factory):
    """One that is first overworked and then ended."""
    server = start(tmp_path_factory.mktemp("worn"), GATE_CORES=str(DECODERS))
    yield server
    if server.process.poll() is None:
        server.process.kill()


@pytest.fixture(scope="module")
def bodies():
    return patches(50)


def probabilities(answers):
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return [answer.json()["probability"] for answer in answers]


def test_fifty_at_once_are_answered_as_one_by_one(server, bodies):
    alone = [server.post(body) for body in bodies]
    together = server.together([(body, PNG) for body in bodies])
    assert probabilities(together) == pytest.approx(probabilities(alone), abs=BATCHED)
    assert len({round(value, 3) for value in probabilities(alone)}) > 10  # the answers tell the patches apart
    assert [{**answer.json(), "probability": 0} for answer in together] == [{**one.json(), "probability": 0} for one in alone]
    assert_batched(server, together, 50)


def test_each_refusal_is_a_4xx_and_one_line(server):
    assert_all_refused(server, clients=4)


def largest():
    """Pictures at every limit: most pixels in each colour mode, and as many bytes as may be sent; how many of each to send.

    As many as are decoded at one time and one that waits; of those with most bytes so many that not all may be held.
    """
    from pathology.patches.serving import MAX_PIXELS

    side = round(MAX_PIXELS**0.5)
    ramp = np.add.outer(np.arange(side), np.arange(side)).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], axis=-1))
    noise = np.random.default_rng(0).integers(0, 256, (1440, 1440, 3), np.uint8)
    full = encoded(noise, compress_level=0)
    assert 0.98 * 6 * MIB < len(full) <= 6 * MIB
    faint = np.random.default_rng(1).integers(0, 128, (side, side, 3), np.uint8)
    few = DECODERS + 1
    return {
        "rgb": ((encoded(picture, compress_level=1), PNG), few),
        "rgba": ((encoded(picture.convert("RGBA"), compress_level=1), PNG), few),
        "grey with alpha": ((encoded(picture.convert("LA"), compress_level=1), PNG), few),
        "palette with alpha": ((encoded(picture.quantize(16), transparency=bytes([255] * 16)), PNG), few),
        "one bit": ((encoded(picture.convert("1")), PNG), few),
        "progressive": ((encoded(picture, "JPEG", progressive=True, subsampling=0), JPEG), few),
        "grey jpeg": ((encoded(picture.convert("L"), "JPEG"), JPEG), few),
        "all bytes": ((full, PNG), STORM),
        "progressive of many bytes": ((encoded(faint, "JPEG", progressive=True, subsampling=0), JPEG), STORM),
    }


def grown(server, since):
    return (server.memory() - since) / 1e6


@pytest.mark.slow
def test_a_storm_leaves_the_memory_as_it_was(worn, bodies):
    """The most that it ever holds, against what it holds when it is warm: refusals, and the largest of what is let in."""
    worn.crowd([(body, PNG) for body in bodies], 50)
    warm = worn.memory("VmRSS")
    assert_all_refused(worn, clients=STORM, times=5)
    print(f"{5 * len(REFUSED)} refusals: {grown(worn, warm):.0f} MB more at most")
    large = largest()
    for name, (request, count) in large.items():
        assert {answer.status_code for answer in worn.crowd([request] * count, count)} <= {200, 503}
        print(f"{count} × {name}: {grown(worn, warm):.0f} MB more at most")
    mixed = [*(request for request, _ in large.values()), *map(refused, REFUSED)]
    assert {answer.status_code for answer in worn.crowd(mixed * 2, STORM)} <= {200, 400, 406, 413, 415, 503}
    print(f"warm {warm / 1e6:.0f} MB; {grown(worn, warm):.0f} MB more at most; {(worn.memory('VmRSS') - warm) / 1e6:.0f} after")
    assert grown(worn, warm) * 1e6 < MAX_GROWTH
    probabilities([worn.post(body) for body in bodies[:5]])


@pytest.mark.slow
def test_sigterm_answers_what_is_in_flight_and_exits_with_0(worn, bodies):
    from pathology.patches.serving import MAX_PIXELS

    alone = probabilities([worn.post(body) for body in bodies[:16]])
    side = round(MAX_PIXELS**0.5)
    large = encoded(Image.new("RGB", (side, side), "white"))
    answers = end_in_flight(worn, [(body, PNG) for body in [large, large, *bodies[:16]]])
    assert [json.loads(answer)["probability"] for answer in answers[2:]] == pytest.approx(alone, abs=BATCHED)
