"""The msi prediction pipeline: slides without labels, and a registered version → a probability per patient, or why there is none."""

from __future__ import annotations

from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.msi.predict import RESULTS, PredictMsiJob
from pathology.contracts.msi.prepare_slides import PrepareSlidesMsiJob
from pathology.contracts.prepared import FILE, PREPARED

from pipelines.graphs.parameters import RunParameters
from pipelines.tasks.msi import MsiPredict
from steps.environment import Environment
from steps.jobs import prepared_root, processing
from steps.sdk import Parameter, Step


def msi_predict(task: MsiPredict, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """PrepareSlides → ExtractFeatures → CollectFeatures → PredictMsi.

    How features are made is read from what the first step found of the model, never from this YAML.
    """
    run = RunParameters(task)
    found = processing(
        "PrepareSlides",
        env,
        "prepare_slides_msi",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={},
        outputs=[PREPARED],
        report=(PREPARED, FILE),
        hyperparameters=run.hyperparameters(
            PrepareSlidesMsiJob,
            task.prepare.hyperparameters,
            slides=run["SlidesUri"],
            patients=run["PatientsUri"],
            features=run["FeaturesUri"],
            version=run["ModelVersion"],
            group=task.model.group,
            prepared=prepared_root(env, "msi"),
        ),
        cached=False,
        description="Finds the model version and the slides; hands on whose they are and how the model's features are made.",
    )
    handed = {name: found.value(f"{name}.uri") for name in ("batch", "slides_to_extract", "encoder", "models", "model")}
    tiling = {name: found.value(f"tiling.{name}") for name in Tiling.model_fields}
    features = processing(
        "ExtractFeatures",
        env,
        "extract_features",
        task.extract.resources,
        image=env.images.cucim_tiler,
        instance_type=run["ExtractInstanceType"],
        instance_count=run["ExtractInstanceCount"],
        inputs={name: handed[name] for name in ("slides_to_extract", "encoder", "models")},
        hyperparameters=run.hyperparameters(
            ExtractFeaturesJob, task.extract.hyperparameters, features=run["FeaturesUri"], **tiling
        ),
        cached=True,
        description="Tiles and embeds the slides that have no features yet, on a GPU; those of training serve again.",
    )
    slides = processing(
        "CollectFeatures",
        env,
        "collect_features",
        task.collect.resources,
        inputs={name: handed[name] for name in ("slides_to_extract", "encoder")},
        outputs=["slides"],
        report=("slides", "collected.json"),
        hyperparameters=run.hyperparameters(
            CollectFeaturesJob, task.collect.hyperparameters, features=run["FeaturesUri"], **tiling
        ),
        cached=False,
        after=[features],
        description="Verifies every feature file and writes slides.csv, named by its content.",
    )
    answers = processing(
        "PredictMsi",
        env,
        "predict_msi",
        task.predict.resources,
        instance_type=run["PredictInstanceType"],
        inputs={"batch": handed["batch"], "model": handed["model"], "slides": slides.value("slides.uri")},
        outputs=["predictions"],
        report=("predictions", RESULTS),
        hyperparameters=run.hyperparameters(
            PredictMsiJob, task.predict.hyperparameters, max_minutes=task.predict.resources.max_runtime_minutes
        ),
        cached=False,
        description="Asks the model's own code about each patient: predictions.csv, results.json, report.html, attention.",
    )
    return run.all(), [job.step for job in (found, features, slides, answers)]
