"""StageFeatures: what slides.csv names, and the encoder, from S3 to EFS; only what changed moves."""

from __future__ import annotations

from pathology.contracts.settings_msi import StageFeatures
from pathology.contracts.tables import SlideRow
from pathology.contracts.uris import Uri
from pathology.datasets.staging import stage_encoder_if_in_s3, stage_features
from pathology.job import Job, run
from pathology.storage import open_store


def main(job: Job) -> None:
    """Copy features, then the encoder; prove each copy by its hash."""
    settings = job.hyperparameters(StageFeatures)
    if job.rank > 0:
        print(f"{job.host}: staging is the first host's work")
        return
    store = open_store()
    slides = SlideRow.read(job.file("slides", ".csv"))
    print(f"features: {stage_features(store, slides, job.input('features_destination'))}")
    print(f"encoder: {stage_encoder_if_in_s3(store, Uri.parse(settings.encoder), job.input('models_destination'))}")


if __name__ == "__main__":
    run(main)
