"""Parameters follow from the settings that declare them: types, defaults, choices, and the order of Studio's form."""

import pytest
from pathology.contracts.errors import RequestError

from pipelines.config import LOCAL, load_task
from pipelines.tasks import NAMES, task_spec
from pipelines.tasks.parameters import ParameterSpec, keys_of, parameters

RULE = ("ChampionRule", "MaxRegression", "NoninferiorityMargin", "GateOn")
FORM = {
    "msi": (
        *("SlidesUri", "ManifestUri", "LabelsUri", "EarlierCohortUri"),
        *("PatientColumn", "SlideColumn", "LabelColumn", "Sheet", "Project", "Positive", "Negative", "OneSlidePerPatient"),
        *("SlideKinds", "Split", "SplitSeed", "SplitColumn", "TestValues", "TestFraction", "Folds"),
        *("EncoderUri", "FeaturesUri"),
        *("PrepareInstanceType", "ExtractInstanceType", "ExtractInstanceCount", "TrainInstanceType", "EvaluateInstanceType"),
        *("TilesPerSlide", "Precision", "DefaultMpp", "ExtractionRun", "MaxLeftOutFraction"),
        *("Sensitivity", "SensitivityConfidence", "DecideBy"),
        *("Epochs", "BatchSize", "LearningRate", "TilesPerBag", "Seed", "AllowSeen", "Prevalences"),
        *(*RULE, "MinSpecificity", "MinAuroc"),
    ),
    "mhist": (
        *("AnnotationsUri", "ImagesUri", "PublishedCounts", "ValidationFraction", "SplitSeed"),
        *("TestFraction", "Negative", "Positive"),
        *("ImageColumn", "LabelColumn", "PartitionColumn", "GroupColumn", "PatchSide", "EncoderUri"),
        *("PrepareInstanceType", "TrainInstanceType", "TrainInstanceCount", "EvaluateInstanceType"),
        *("Sensitivity", "SensitivityConfidence", "DecideBy"),
        *("FineTuning", "Protocol", "Epochs", "BatchSize", "LearningRate", "EncoderLearningRate", "SoftLabels", "Seed"),
        *("AllowSeen", "Prevalences"),
        *(*RULE, "MinSpecificity", "MinAuroc"),
    ),
    "lizard": (
        *("DatasetUri", "Classes", "Fold", "PublishedCounts", "SplitSeed", "EncoderUri"),
        *("PrepareInstanceType", "TrainInstanceType", "TrainInstanceCount", "EvaluateInstanceType"),
        *("FineTuning", "Epochs", "BatchSize", "LearningRate", "EncoderLearningRate", "Width", "Balance", "Seed"),
        *("AllowSeen", *RULE, "MinBpq"),
    ),
}
"""What is read, what it runs on, how it is learnt and evaluated; last the gate and the status."""


@pytest.mark.parametrize("task", NAMES)
def test_the_form_has_its_order(task):
    assert tuple(parameter.name for parameter in parameters(load_task(task, LOCAL))) == FORM[task]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("msi", ParameterSpec("Epochs", "Integer", 20, (), "train.hyperparameters.epochs")),
        ("msi", ParameterSpec("TilesPerBag", "Integer", 3000, (), "train.hyperparameters.max_tiles")),
        ("msi", ParameterSpec("TestFraction", "Float", 0.25, (), "prepare.hyperparameters.test_fraction")),
        (
            "msi",
            ParameterSpec(
                "Precision", "String", "float16", ("float32", "float16", "bfloat16"), "extract.hyperparameters.precision"
            ),
        ),
        ("msi", ParameterSpec("ExtractInstanceCount", "Integer", 4, (), "extract.resources")),
        ("mhist", ParameterSpec("SoftLabels", "String", "false", ("true", "false"), "train.hyperparameters.soft_labels")),
        (
            "lizard",
            ParameterSpec(
                "Classes",
                "String",
                "neutrophil,epithelial,lymphocyte,plasma,eosinophil,connective",
                (),
                "prepare.hyperparameters.classes",
            ),
        ),
        ("lizard", ParameterSpec("MinBpq", "Float", 0.55, (), "gate.min_bpq")),
    ],
)
def test_a_parameter_is_what_its_setting_says(task, expected):
    assert expected in parameters(load_task(task, LOCAL))


def test_an_optional_uri_that_is_left_out_is_none_in_the_form():
    task = load_task("msi", LOCAL)
    without = task.model_copy(update={"dataset": task.dataset.model_copy(update={"manifest": None})})
    (manifest,) = (parameter for parameter in parameters(without) if parameter.name == "ManifestUri")
    assert (manifest.type, manifest.default) == ("String", "none")


def test_settings_that_share_a_parameter_and_differ_are_refused():
    task = load_task("msi", LOCAL)
    settings = task.prepare.hyperparameters.model_copy(update={"max_left_out_fraction": 0.2})
    differing = task.model_copy(update={"prepare": task.prepare.model_copy(update={"hyperparameters": settings})})
    with pytest.raises(RequestError, match=r"prepare\S+fraction is 0.2 and collect\S+fraction is 0.05, .* MaxLeftOutFraction"):
        parameters(differing)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("msi", {"SlidesUri", "ManifestUri", "LabelsUri", "EarlierCohortUri", "EncoderUri"}),
        ("mhist", {"AnnotationsUri", "ImagesUri", "EncoderUri"}),
        ("lizard", {"DatasetUri", "EncoderUri"}),
    ],
)
def test_what_a_person_put_there_is_known(task, names):
    """Where the pipeline itself writes, such as features, is no part of it."""
    kind, data = task_spec(task).pipeline().model, dict(load_task(task, LOCAL).data())
    keys = {name: paths for name, paths in keys_of(kind).items() if name in names}
    assert {".".join(paths[0]) for paths in keys.values()} - {"dataset.earlier-cohort"} == set(data)  # there is none by default


def test_a_kind_of_pipeline_that_a_task_has_not_is_refused():
    with pytest.raises(RequestError, match="task msi has no pipeline 'external': choose one of train"):
        task_spec("msi").pipeline("external")
