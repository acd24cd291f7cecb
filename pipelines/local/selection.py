"""Selective execution: chosen steps run, what they need of the others comes from an execution that has ended."""

from __future__ import annotations

from pipelines.checks.selection import selection_problems, sources
from pipelines.local.errors import refused
from pipelines.local.records import StepRecord
from pipelines.local.state import Execution, now, write_json
from pipelines.local.supervisor import ENDED
from steps.shapes import Definition, Selection

_OPERATION = "StartPipelineExecution"


def selected_steps(config: Selection) -> list[str]:
    """The names in a SelectiveExecutionConfig."""
    return [item["StepName"] for item in config.get("SelectedSteps", [])]


def results_to_reuse(definition: Definition, config: Selection, source: Execution | None) -> list[StepRecord]:
    """Records of the steps outside the selection that it needs, taken from ``source``, as this execution keeps them.

    Raises:
        ClientError: for a selection that cannot be run alone, or a source that has not what it needs.
    """
    selected = selected_steps(config)
    fault = next(selection_problems(definition, selected), None)
    if fault:
        raise refused(_OPERATION, f"SelectedSteps: {fault}.")
    wanted = sources(definition, selected)
    if not wanted:
        return []
    if source is None:
        raise refused(_OPERATION, f"Invalid SourcePipelineExecutionArn: null. The selected steps depend on {sorted(wanted)}.")
    if source.record["PipelineExecutionStatus"] not in ENDED:
        raise refused(_OPERATION, f"The source execution {source.identity} has not ended.")
    records = {record["StepName"]: record for record in source.steps() if record["StepStatus"] == "Succeeded"}
    lacking = sorted(wanted - set(records))
    if lacking:
        raise refused(_OPERATION, f"The source execution {source.identity} has no result of {', '.join(lacking)}.")
    return [_reused(records[name], config["SourcePipelineExecutionArn"]) for name in records if name in wanted]


def _reused(record: StepRecord, source: str) -> StepRecord:
    return {
        "StepName": record["StepName"],
        **({"StepDescription": record["StepDescription"]} if "StepDescription" in record else {}),
        "Metadata": record["Metadata"],
        "StepStatus": "Succeeded",
        "StartTime": now(),
        "EndTime": now(),
        "SelectiveExecutionResult": {"SourcePipelineExecutionArn": source},
    }


def keep(execution: Execution, records: list[StepRecord]) -> None:
    """Give an execution that has not begun the results that it reuses."""
    for record in records:
        write_json(execution.step(record["StepName"]), record)
