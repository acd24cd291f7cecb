"""The endpoint as SageMaker starts it: a packed model, its own code, the tiny encoder."""

import json

import httpx
import pytest

from benchmarks.serving import ANSWER_SECONDS, ask, batch_sizes, endpoint, make_root, patches
from tests.made import made_once


@pytest.fixture(scope="module")
def root():
    return made_once("endpoint-mhist", make_root)


@pytest.fixture(scope="module")
def bodies():
    return patches(40)


@pytest.fixture(scope="module")
def served(root, bodies, tmp_path_factory):
    """Answers to all bodies, that to something else, and the log from start to end."""
    log = tmp_path_factory.mktemp("endpoint") / "log"
    with endpoint(root, log) as port:
        answers = ask(port, bodies, clients=20)
        url = f"http://127.0.0.1:{port}/invocations"
        refused = httpx.post(url, content=b"x", headers={"Content-Type": "image/png"}, timeout=ANSWER_SECONDS)
    return answers, refused, log


@pytest.mark.slow
def test_it_answers_over_http_what_the_functions_answer_in_process(root, bodies, served):
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.tasks.mhist import serving

    model = serving.model_fn(root / "model", root / ADDITIONAL_MODEL)
    expected = serving.predict_fn([serving.input_fn(body) for body in bodies], model)
    answers, refused, _ = served
    assert [answer["label"] for answer in answers] == [one["label"] for one in expected]
    assert [answer["probability"] for answer in answers] == pytest.approx([one["probability"] for one in expected], abs=1e-3)
    assert answers[0].keys() == {"label", "probability", "threshold", "model_version"}
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


@pytest.mark.slow
def test_the_log_is_json_from_the_first_line_to_the_last(served):
    *_, log = served
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[0] == "loaded"
    assert {"started", "listening", "ended"} <= set(events)
    assert len(batch_sizes(log)) == 40


def test_what_does_not_start_is_said_with_its_log(tmp_path):
    with pytest.raises(RuntimeError, match="the endpoint did not start: .*model/code"), endpoint(tmp_path, tmp_path / "log"):
        pass


def test_the_model_carries_all_that_the_endpoint_runs_on(root):
    """Nothing but the libraries comes from elsewhere: the code is the first on the path, and the whole closure of it is there."""
    code = root / "model" / "code" / "pathology"
    for file in ("commands/serve.py", "serving/app.py", "serving/batching.py", "tasks/mhist/serving.py", "images.py"):
        assert (code / file).is_file(), file
    assert not (code / "commands" / "train_mhist.py").exists()
