"""What the endpoint says when it cannot start; that it answers is in tests/benchmarks/test_serving.py and tests/pathology/serving."""

import os
import subprocess
import sys

import pytest
from pathology.commands.serve import TASKS
from pathology.contracts.errors import RequestError
from pathology.serving.code import endpoint_code


@pytest.fixture
def serve(tmp_path):
    """Run the command over a model whose config.json is ``config``: it has to end by itself."""

    def run(config=None, **environment):
        (tmp_path / "model").mkdir()
        if config is not None:
            (tmp_path / "model" / "config.json").write_text(config)
        env = {**os.environ, "PATHOLOGY_ROOT": str(tmp_path), **environment}
        return subprocess.run(
            [sys.executable, "-m", "pathology.commands.serve"], capture_output=True, text=True, env=env, check=False, timeout=60
        )

    return run


@pytest.mark.parametrize(
    ("config", "environment", "code", "said"),
    [
        (None, {}, 1, "holds no model (FileNotFoundError at config.json): unpack model.tar.gz there"),
        ("{", {}, 1, "holds no model (JSONDecodeError at config.json)"),
        ("[]", {}, 1, "holds no model (TypeError at config.json)"),
        ('{"task": ["mhist"]}', {}, 2, "have no endpoint"),
        ('{"task": "msi"}', {}, 2, "models of task 'msi' have no endpoint, only mhist"),
        ('{"task": "mhist", "format_version": 1}', {}, 1, "config.json"),
        ('{"task": "mhist"}', {"PATHOLOGY_PORT": "http"}, 2, "PATHOLOGY_PORT='http' is no port"),
    ],
)
def test_what_cannot_be_served_is_one_line(serve, config, environment, code, said):
    done = serve(config, **environment)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


@pytest.mark.parametrize("module", TASKS.values())
def test_the_code_of_a_model_is_its_tasks_and_the_endpoints(module):
    files = endpoint_code(module).files
    assert {"pathology/commands/serve.py", "pathology/serving/app.py", f"{module.replace('.', '/')}.py"} <= files.keys()
    assert not [path for path in files if "train" in path.rpartition("/")[2] and "commands" in path]


def test_a_task_without_a_module_is_refused():
    with pytest.raises(RequestError, match="no module"):
        endpoint_code("pathology.models.serve_nothing")
