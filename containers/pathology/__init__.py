"""Everything that runs inside a job: slides, datasets, models, metrics, reports, and one command per pipeline step."""
