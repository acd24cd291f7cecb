"""How many instances the account may run of each type, against what the pipelines ask for."""

from __future__ import annotations

from typing import Any

from pipelines.service.health.lines import Lines, unknown, verdict
from pipelines.service.health.subject import JobNeed, Subject
from pipelines.service.paging import paginate

_SERVICE = "sagemaker"


def quota_name(job: JobNeed) -> str:
    """What Service Quotas calls the limit on a job's instances, as its list for SageMaker spells it."""
    kind = "spot training job" if job.spot else f"{job.kind} job"
    return f"{job.instance_type} for {kind} usage"


def quotas(subject: Subject) -> Lines:
    """Each instance type's quota is at least what one job takes; a pipeline's jobs follow each other."""
    need: dict[str, int] = {}
    for job in subject.all_jobs:
        need[quota_name(job)] = max(need.get(quota_name(job), 0), job.instance_count)
    endpoints = {task: settings.register_as.instance_types for task, settings in subject.tasks.items()}
    values = _values(subject.clients["service-quotas"], {*need, *(_endpoint(t) for types in endpoints.values() for t in types)})
    for name, count in sorted(need.items()):
        yield from _compare(name, count, values.get(name))
    for task, types in endpoints.items():
        yield from _endpoints(task, types, values)


def _compare(name: str, count: int, value: float | None) -> Lines:
    if value is None:
        yield unknown("quotas", f"Service Quotas has no {name!r}: look at the instance type's spelling, or in the console")
        return
    wrong = (
        [f"{name}: {value:g}, and a job takes {count}: ask for more in Service Quotas; it can take days"] if value < count else []
    )
    yield from verdict("quotas", wrong, f"{name}: {value:g}, {count} needed")


def _endpoint(instance_type: str) -> str:
    return f"{instance_type} for endpoint usage"


def _endpoints(task: str, types: tuple[str, ...], values: dict[str, float]) -> Lines:
    """A version may be deployed on any of its types, so one quota will do."""
    known = {kind: values[_endpoint(kind)] for kind in types if _endpoint(kind) in values}
    if not known:
        yield unknown("quotas", f"Service Quotas has no endpoint usage of {', '.join(types)} ({task}): look in the console")
        return
    usable = [kind for kind, value in known.items() if value >= 1]
    wrong = (
        []
        if usable
        else [f"no endpoint of {task} can run, {', '.join(known)} for endpoint usage are 0: ask for one in Service Quotas"]
    )
    yield from verdict("quotas", wrong, f"{task}'s endpoints: {', '.join(usable)}")


def _values(client: Any, names: set[str]) -> dict[str, float]:
    """Quotas as they are applied; where none was ever, AWS's default (Service Quotas user guide, "Viewing service quotas")."""
    values: dict[str, float] = {}
    for call in (client.list_service_quotas, client.list_aws_default_service_quotas):
        if names - values.keys():
            for quota in paginate(call, "Quotas", ServiceCode=_SERVICE):
                if quota["QuotaName"] in names:
                    values.setdefault(quota["QuotaName"], float(quota["Value"]))
    return values
