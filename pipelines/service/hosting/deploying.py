"""A version deployed: model, configuration, endpoint; followed, tried with a real request, and rolled back where that goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError
from pathology.contracts.errors import DataError, PathologyError, RequestError
from pathology.contracts.refusals import code_of, is_missing, message_of

from pipelines.service.errors import explain, is_taken
from pipelines.service.hosting.asking import Answer, Endpoint, RefusedError, UnavailableError
from pipelines.service.hosting.first_request import FirstRequest, ask_first
from pipelines.service.hosting.plan import UNAPPROVED, Plan, alarm_name, scalable
from pipelines.service.hosting.standing import (
    CHANGING,
    FAILED,
    IN_SERVICE,
    Standing,
    described_config,
    followed,
    require_ours,
    standing,
)
from pipelines.service.interruption import FollowingInterruptedError
from pipelines.service.session import Session, client
from steps.shapes import Request

Outcome = Literal["created", "updated", "unchanged"]
_LIMIT = "ResourceLimitExceeded"
_CHANGED = "is being changed (%s): wait until python -m pipelines.endpoints says InService, then run this again"


class DeploymentError(PathologyError):
    """The version is not deployed; what stood before stands."""


@dataclass(frozen=True)
class Deployed:
    """What a deployment came to, and the answer to its first request."""

    outcome: Outcome
    standing: Standing
    answer: Answer


def check_standing(session: Session, plan: Plan) -> Standing | None:
    """What stands under the plan's name, where that can be updated.

    Raises:
        RequestError: when it is another's, being changed, or failed.
    """
    now = standing(session, plan.endpoint)
    if now is None:
        return None
    require_ours(now, plan.task)
    if now.status in CHANGING:
        raise RequestError(f"endpoint {now.name} {_CHANGED % now.status}")
    if now.status != IN_SERVICE:
        reason = f" ({now.reason})" if now.reason else ""
        raise RequestError(
            f"endpoint {now.name} is {now.status}{reason}: take it away with python -m pipelines.undeploy --task {plan.task} --yes, "
            f"then deploy again"
        )
    return now


def is_unchanged(now: Standing | None, plan: Plan) -> bool:
    """Whether the endpoint serves this version with these settings already."""
    return now is not None and now.config == plan.config_name


def confirm(session: Session, plan: Plan, now: Standing, request: FirstRequest, accept: str) -> Deployed:
    """Ask an endpoint that needs no change; a deployment that was interrupted is completed.

    Raises:
        DeploymentError: when it does not answer as its version does.
    """
    try:
        answer = ask_first(Endpoint.of(session, plan.endpoint), request, plan.version, accept)
    except (RefusedError, UnavailableError, DataError) as error:
        raise DeploymentError(
            f"{plan.endpoint} serves version {plan.version.number}, and fails {request.what}: {error}"
        ) from None
    _tag(session, now.arn, plan)
    return Deployed("unchanged", now, answer)


def deploy(
    session: Session, plan: Plan, now: Standing | None, request: FirstRequest, accept: str, say: Callable[[str], None]
) -> Deployed:
    """Make or update the endpoint, wait, try it with ``request``; ``say`` gets a line of every step.

    Raises:
        RequestError: when the service refuses, before anything serves.
        DeploymentError: when the new hosts fail or answer wrongly: the old ones are in service again, and a new endpoint is gone.
    """
    made = _Made(session, plan, new=now is None)
    try:
        made.make()
        _guard(session, plan, say)
        _change(session, plan, now, say)
    except ClientError as error:
        made.undo()
        raise RequestError(_refusal(error, plan)) from None
    where = "this machine" if session.environment.local else _hosts(plan)
    say(f"{plan.endpoint}: version {plan.version.number}, {'updating' if now else 'creating'} on {where}")
    with _goes_on(plan):
        end = _followed(session, plan.endpoint, say)
    if end is None or end.status != IN_SERVICE or end.config != plan.config_name:
        raise DeploymentError(_failed(session, plan, now, end, made))
    try:
        answer = ask_first(Endpoint.of(session, plan.endpoint), request, plan.version, accept)
    except (RefusedError, UnavailableError, DataError) as error:
        _roll_back(session, plan, now, made, say)
        stands = f"{now.name} serves version {now.number} again" if now else f"{plan.endpoint} was taken away again"
        raise DeploymentError(
            f"version {plan.version.number} failed its first request, {request.what}: {error}; {stands}"
        ) from None
    _tag(session, end.arn, plan)
    _scale(session, plan, say)
    if now is not None and now.config != plan.config_name:
        remove_config(session, now.config)
    return Deployed("updated" if now else "created", end, answer)


@contextmanager
def _goes_on(plan: Plan) -> Iterator[None]:
    """Within this an interrupt ends the verb alone."""
    try:
        yield
    except KeyboardInterrupt:
        raise FollowingInterruptedError(
            f"interrupted; {plan.endpoint} goes on to version {plan.version.number}: python -m pipelines.endpoints shows how far it is, "
            f"and the same command again completes it"
        ) from None


def _hosts(plan: Plan) -> str:
    (variant,) = plan.config["ProductionVariants"]
    count = variant["InitialInstanceCount"]
    return f"{count} {variant['InstanceType']}"


@dataclass
class _Made:
    """Model and configuration, and which of them this call made; ``new``: the endpoint is new, and so is its alarm."""

    session: Session
    plan: Plan
    new: bool
    model: bool = False
    config: bool = False

    def make(self) -> None:
        sagemaker = self.session.sagemaker
        self.model = _create(sagemaker.create_model, self.plan.model)
        self.config = _create(sagemaker.create_endpoint_config, self.plan.config)

    def undo(self) -> None:
        """Take away what this call made."""
        sagemaker = self.session.sagemaker
        if self.config:
            _deleted(sagemaker.delete_endpoint_config, EndpointConfigName=self.plan.config_name)
        if self.model:
            _deleted(sagemaker.delete_model, ModelName=self.plan.model_name)
        if self.new:
            unguard(self.session, self.plan.endpoint)


def _create(call: Any, request: Request) -> bool:
    """Whether this call made it; one of the same name has the same content."""
    try:
        call(**request)
    except ClientError as error:
        if is_taken(error):
            return False
        raise
    return True


def _deleted(call: Any, **named: str) -> None:
    try:
        call(**named)
    except ClientError as error:
        if not is_missing(error):
            raise


def _change(session: Session, plan: Plan, now: Standing | None, say: Callable[[str], None]) -> None:
    if now is None:
        session.sagemaker.create_endpoint(**plan.create)
    else:
        _unscale_for_another_type(session, plan, now, say)
        session.sagemaker.update_endpoint(**plan.update)


def _refusal(error: ClientError, plan: Plan) -> str:
    if code_of(error) == _LIMIT:
        wanted = _hosts(plan).partition(" ")[2]
        return f"{message_of(error)} Ask for more of {wanted} for endpoint usage in Service Quotas; it can take days"
    if is_taken(error):
        return f"endpoint {plan.endpoint} was made by somebody else meanwhile: look with python -m pipelines.endpoints"
    return explain(error)


def _followed(session: Session, name: str, say: Callable[[str], None]) -> Standing | None:
    """Follow to the end, with a line for every status and every minute of one."""
    before, started, minutes, end = "", time.monotonic(), 0, None
    for end in followed(session, name):
        status, elapsed = end.status if end else "gone", time.monotonic() - started
        if status != before or int(elapsed // 60) > minutes:
            say(f"{name}: {status} after {elapsed:.0f} s")
            before, minutes = status, int(elapsed // 60)
    return end


def _failed(session: Session, plan: Plan, now: Standing | None, end: Standing | None, made: _Made) -> str:
    """What to say of a deployment that failed by itself; what it left behind is taken away, where nothing serves it."""
    number, reason = plan.version.number, end.reason if end else "it was deleted meanwhile"
    why = f": {reason}" if reason else "; its log says why"
    if now is not None and end is not None and end.status == IN_SERVICE:
        made.undo()
        return f"version {number} was rolled back{why}; {now.name} serves version {now.number} as before"
    if now is None and end is not None and end.status == FAILED:
        _deleted(session.sagemaker.delete_endpoint, EndpointName=plan.endpoint)
        made.undo()
        return f"version {number} did not come into service{why}; endpoint {plan.endpoint} was taken away again"
    return f"endpoint {plan.endpoint} is {end.status if end else 'gone'}{why}: look with python -m pipelines.endpoints"


def _roll_back(session: Session, plan: Plan, now: Standing | None, made: _Made, say: Callable[[str], None]) -> None:
    """Put the endpoint back to what it was.

    Raises:
        DeploymentError: when that does not succeed either.
    """
    if now is None:
        _deleted(session.sagemaker.delete_endpoint, EndpointName=plan.endpoint)
        _followed(session, plan.endpoint, say)
    else:
        back = {**plan.update, "EndpointConfigName": now.config}
        session.sagemaker.update_endpoint(**back)
        end = _followed(session, plan.endpoint, say)
        if end is None or end.status != IN_SERVICE or end.config != now.config:
            raise DeploymentError(
                f"version {plan.version.number} failed its first request, and {plan.endpoint} could not be put back to version "
                f"{now.number}: it is {end.status if end else 'gone'}; look with python -m pipelines.endpoints"
            )
    made.undo()


def _tag(session: Session, arn: str, plan: Plan) -> None:
    """Tags of what serves now."""
    session.sagemaker.add_tags(ResourceArn=arn, Tags=plan.tag_list)
    if UNAPPROVED not in plan.tags:
        session.sagemaker.delete_tags(ResourceArn=arn, TagKeys=[UNAPPROVED])


def _guard(session: Session, plan: Plan, say: Callable[[str], None]) -> None:
    """The alarm that rolls an update back; there before the update that names it."""
    if plan.alarm is not None:
        client(session, "cloudwatch").put_metric_alarm(**plan.alarm)
        say(f"{plan.endpoint}: alarm {plan.alarm['AlarmName']} watches its errors")


def unguard(session: Session, name: str) -> None:
    """Take an endpoint's alarm away; there need be none."""
    if not session.environment.local:
        client(session, "cloudwatch").delete_alarms(AlarmNames=[alarm_name(name)])


def _scale(session: Session, plan: Plan, say: Callable[[str], None]) -> None:
    """Let the number of hosts follow the load, or no more."""
    if plan.scaling is None:
        unscale(session, plan.endpoint)
        return
    scaling = client(session, "application-autoscaling")
    scaling.register_scalable_target(**plan.scaling.target)
    scaling.put_scaling_policy(**plan.scaling.policy)
    say(f"{plan.endpoint}: {plan.scaling.target['MinCapacity']} to {plan.scaling.target['MaxCapacity']} hosts, by the load")


def unscale(session: Session, name: str) -> bool:
    """An endpoint's hosts follow no load any more; whether they did."""
    if session.environment.local:
        return False
    scaling, target = client(session, "application-autoscaling"), scalable(name)
    where = {"ServiceNamespace": target["ServiceNamespace"], "ScalableDimension": target["ScalableDimension"]}
    if not scaling.describe_scalable_targets(**where, ResourceIds=[target["ResourceId"]])["ScalableTargets"]:
        return False
    scaling.deregister_scalable_target(**target)
    return True


def _unscale_for_another_type(session: Session, plan: Plan, now: Standing, say: Callable[[str], None]) -> None:
    """An update that changes the hosts' type fails while their number follows the load (SageMaker developer guide, "Update endpoints that
    use auto scaling")."""
    before = (described_config(session, now.config) or {}).get("ProductionVariants") or [{}]
    if before[0].get("InstanceType") != plan.config["ProductionVariants"][0]["InstanceType"] and unscale(session, plan.endpoint):
        say(f"{plan.endpoint}: its hosts follow no load until it is deployed, since their type changes")


def remove_config(session: Session, name: str) -> None:
    """A configuration that nothing serves, and its models."""
    sagemaker = session.sagemaker
    try:
        described = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except ClientError as error:
        if is_missing(error):
            return
        raise
    _deleted(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    for variant in described["ProductionVariants"]:
        _deleted(sagemaker.delete_model, ModelName=variant["ModelName"])
