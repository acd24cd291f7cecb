"""The endpoint as SageMaker starts it: a packed model, its own code, the tiny encoder."""

import json

import httpx
import pytest

from benchmarks.serving import ask, batch_sizes, endpoint, make_root, patches


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("endpoint")
    make_root(root)
    return root


def test_it_answers_over_http_what_the_functions_answer_in_process(root, tmp_path):
    from pathology.models import serve_mhist

    bodies = patches(40)
    model = serve_mhist.model_fn(root / "model", root / serve_mhist.ADDITIONAL_MODEL)
    expected = serve_mhist.predict_fn([serve_mhist.input_fn(body) for body in bodies], model)
    with endpoint(root, tmp_path / "log") as port:
        answers = ask(port, bodies, clients=20)
        refused = httpx.post(f"http://127.0.0.1:{port}/invocations", content=b"x", headers={"Content-Type": "image/png"})
    assert [answer["label"] for answer in answers] == [one["label"] for one in expected]
    assert [answer["probability"] for answer in answers] == pytest.approx([one["probability"] for one in expected], abs=1e-3)
    assert answers[0].keys() == {"label", "probability", "threshold", "model_version"}
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert max(batch_sizes(tmp_path / "log")) > 1


def test_the_log_is_json_from_the_first_line_to_the_last(root, tmp_path):
    with endpoint(root, tmp_path / "log"):
        pass
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events[0] == "loaded"
    assert {"started", "ended"} <= set(events)


def test_the_model_carries_all_that_the_endpoint_runs_on(root):
    """Nothing but the libraries comes from elsewhere: the code is the first on the path, and the whole closure of it is there."""
    code = root / "model" / "code" / "pathology"
    for file in ("commands/serve.py", "serving/app.py", "serving/batching.py", "models/serve_mhist.py", "images.py"):
        assert (code / file).is_file(), file
    assert not (code / "commands" / "train_mhist.py").exists()
