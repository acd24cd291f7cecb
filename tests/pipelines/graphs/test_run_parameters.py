"""How parameters reach a job's hyperparameters, and what a graph that forgets one is told."""

import pytest
from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.msi.train import TrainMsi

from pipelines.config import LOCAL, load_task


@pytest.fixture(scope="module")
def task():
    return load_task("msi", LOCAL)


@pytest.fixture
def run(task):
    from pipelines.graphs.parameters import RunParameters

    return RunParameters(task)


def test_a_setting_is_its_parameter_or_its_value(run, task):
    values = run.hyperparameters(TrainMsi, task.train.hyperparameters)
    assert values["epochs"] is run["Epochs"] and values["max-tiles"] is run["TilesPerBag"]
    assert (values["hidden-size"], values["dropout"]) == (256, 0.25)
    assert list(values) == list(TrainMsi().as_strings())


def test_a_job_takes_settings_of_two_steps_and_what_the_graph_supplies(run, task):
    values = run.hyperparameters(
        CollectFeaturesJob,
        task.extract.hyperparameters,
        task.collect.hyperparameters,
        features="s3://b1x/f",
    )
    assert values["max-tiles"] is run["TilesPerSlide"] and values["max-left-out-fraction"] is run["MaxLeftOutFraction"]
    assert (values["features"], values["mpp"]) == ("s3://b1x/f", 0.5)
    assert "batch-size" not in values  # extraction's alone


def test_what_is_forgotten_or_not_taken_is_named(run, task):
    with pytest.raises(TypeError, match="PrepareMsiJob needs encoder, which nothing gives"):
        run.hyperparameters(PrepareMsiJob, task.prepare.hyperparameters)
    with pytest.raises(TypeError, match="TrainMsi takes no slides"):
        run.hyperparameters(TrainMsi, task.train.hyperparameters, slides="s3://b1x/x")
    with pytest.raises(KeyError, match="no setting declares a parameter 'Epoch'"):
        run["Epoch"]
