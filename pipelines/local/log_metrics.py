"""Metrics read out of a Training job's logs, as the service reads them: by the request's regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipelines.local.records import FinalMetric
from pipelines.local.state import now
from steps.shapes import MetricDefinition


def final_metrics(definitions: list[MetricDefinition], logs: Iterable[Path]) -> list[FinalMetric]:
    """``FinalMetricDataList``: the last value that each definition's first group matched, over the hosts' logs in order."""
    last: dict[str, float] = {}
    expressions = [(definition["Name"], re.compile(definition["Regex"])) for definition in definitions]
    for log in logs if expressions else ():
        for line in log.read_text(errors="replace").splitlines():
            for name, expression in expressions:
                if match := expression.search(line):
                    with suppress(ValueError):  # text that the expression let through is not a valid number
                        last[name] = float(match.group(1))
    return [{"MetricName": name, "Value": value, "Timestamp": now()} for name, value in last.items()]
