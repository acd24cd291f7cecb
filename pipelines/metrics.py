"""``python -m pipelines.metrics --task msi``: the scores of an execution's model."""

from __future__ import annotations

from pipelines.cli import Debug, EnvironmentName, ExecutionName, Json, Kind, OptionalTask, enter, run
from pipelines.tasks import TRAIN


def metrics(
    execution: ExecutionName = "latest",
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Show the evaluation's scores with their intervals. With --json evaluation.json as it stands."""
    from pathology.contracts.errors import DataError

    from pipelines.scores import print_scores
    from pipelines.service.executions import find, get_state
    from pipelines.service.results import evaluation_folder, read_evaluation
    from pipelines.tables import print_json

    session = enter(environment)
    state = get_state(session, find(session, task, execution, kind))
    folder = evaluation_folder(session, state)
    if folder is None:
        raise DataError(f"execution {state.identity} ({state.status}) has no evaluation: no evaluation step has succeeded in it")
    evaluation = read_evaluation(session, folder)
    if json:
        print_json(evaluation)
    else:
        print_scores(evaluation)
    return 0


if __name__ == "__main__":
    run(metrics)
