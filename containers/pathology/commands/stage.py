"""Stage: what staging.csv names, and the encoder, from S3 to EFS; only what changed moves."""

from __future__ import annotations

from pathology.contracts.staging import TABLE, Stage, read_staging
from pathology.contracts.uris import Uri
from pathology.encoders.job_encoder import named_encoder
from pathology.job import Job, run
from pathology.staging import stage_encoder, stage_files
from pathology.storage import open_store


def main(job: Job) -> None:
    """Copy the files, then the encoder; prove each copy by its hash."""
    settings = job.hyperparameters(Stage)
    if job.rank > 0:
        print(f"{job.host}: staging is the first host's work")
        return
    store = open_store()
    rows = read_staging(job.file("staging", TABLE))
    print(f"files: {stage_files(store, rows, job.input('data_destination'))}")
    print(f"encoder: {stage_encoder(store, Uri.parse(settings.encoder), named_encoder(job), job.input('models_destination'))}")


if __name__ == "__main__":
    run(main)
