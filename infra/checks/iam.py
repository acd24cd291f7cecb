"""What a role may do, read from a resolved template and decided as IAM decides.

An explicit Deny wins over any Allow, and without an Allow nothing is allowed (IAM user guide, "Policy evaluation logic").
Boundaries, service control and resource policies are not part of it: the templates have none for roles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pathology.contracts.errors import RequestError

from infra.checks.template import Resource, Stack, as_list

Context = Mapping[str, Any]
"""What a request says beside action and resource, by condition key: a text, or a list of texts; absent keys are Null."""


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; ``policy`` says which."""

    policy: str
    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]]

    def covers(self, action: str, resource: str) -> bool:
        """Whether it speaks of the action on the resource, conditions aside."""
        return any(_like(action.lower(), pattern.lower()) for pattern in self.actions) and any(
            _like(resource, pattern) for pattern in self.resources
        )

    def applies(self, action: str, resource: str, context: Context) -> bool:
        """Whether it decides the request: action, resource and every condition match."""
        return self.covers(action, resource) and all(
            _condition(operator, key, as_list(wanted), context)
            for operator, keys in self.conditions.items()
            for key, wanted in keys.items()
        )


def parse_statements(policy: str, document: Mapping[str, Any]) -> Iterator[Statement]:
    """The statements of an identity policy's document.

    Raises:
        RequestError: for NotAction and NotResource, which say too much.
    """
    for item in as_list(document["Statement"]):
        if "NotAction" in item or "NotResource" in item:
            raise RequestError(f"{policy}: NotAction and NotResource cover what nobody has thought of: name what is meant")
        yield Statement(
            policy,
            item.get("Sid", ""),
            item["Effect"] == "Allow",
            tuple(as_list(item["Action"])),
            tuple(as_list(item["Resource"])),
            item.get("Condition", {}),
        )


def statements(stack: Stack, role: str) -> list[Statement]:
    """All statements of a role: its own policies and the managed ones of the same template that it names.

    Raises:
        RequestError: when the template has no such role.
    """
    resource = stack.resources.get(role)
    if resource is None or resource.type != "AWS::IAM::Role":
        raise RequestError(f"{role}: the template has no such role; it has {', '.join(r.name for r in stack.of('IAM::Role'))}")
    parsed: list[Statement] = []
    for policy in as_list(resource["Policies"]):
        parsed += parse_statements(f"{role}/{policy['PolicyName']}", policy["PolicyDocument"])
    for reference in as_list(resource["ManagedPolicyArns"]):
        managed = stack.named(reference, "IAM::ManagedPolicy")
        if managed is not None:
            parsed += parse_statements(managed.name, managed["PolicyDocument"])
    return parsed


def pairs(stack: Stack, role: str) -> list[tuple[str, str]]:
    """Every (action, resource) that some statement of the role allows, sorted; denials and conditions aside."""
    allowed_pairs = {(a, r) for one in statements(stack, role) if one.allows for a in one.actions for r in one.resources}
    return sorted(allowed_pairs)


def allowed(stack: Stack, role: str, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the role may do the action on the resource, in a request with this context.

    ``resource`` is written as the stack resolves it: ``<Bucket.Arn>/runs/x``, or an ARN where ``values`` named the bucket's.
    """
    applying = [one for one in statements(stack, role) if one.applies(action, resource, context or {})]
    return any(one.allows for one in applying) and all(one.allows for one in applying)


def role_of(stack: Stack, arn: Any) -> Resource | None:
    """The role whose ``Arn`` attribute a resolved value is."""
    return stack.named(arn, "IAM::Role") if isinstance(arn, str) and arn.endswith(".Arn>") else None


def _like(text: str, pattern: str) -> bool:
    """IAM's wildcards: ``*`` for any characters, ``?`` for one."""
    return _pattern(pattern).fullmatch(text) is not None


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _same(text: str, wanted: str) -> bool:
    return text == wanted


def _same_case_aside(text: str, wanted: str) -> bool:
    return text.lower() == wanted.lower()


def _arn_like(text: str, pattern: str) -> bool:
    """As ``_like``, and a wildcard stays within its part of the ARN; the sixth part is the rest."""
    ours, wanted = text.split(":", 5), pattern.split(":", 5)
    return len(ours) == len(wanted) and all(map(_like, ours, wanted))


_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_case_aside,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _same_case_aside,
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _condition(operator: str, key: str, wanted: Iterable[Any], context: Context) -> bool:
    """One operator on one key (IAM user guide, "Condition operators" and "Set operators for multivalued context keys")."""
    given = [_text(value) for value in as_list(_of_key(context, key))]
    expected_values = [_text(value) for value in wanted]
    if operator == "Null":
        return any((expected == "true") == (not given) for expected in expected_values)
    quantifier, _, plain = operator.rpartition(":")
    if plain.endswith("IfExists"):
        if not given:
            return True
        plain = plain.removesuffix("IfExists")
    negated, name = plain in _NEGATED, _NEGATED.get(plain, plain)
    if name not in _MATCHES or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise RequestError(f"condition operator {operator} is not among those that infra.checks knows: teach it, or do without")
    fits = [any(_MATCHES[name](value, expected) for expected in expected_values) != negated for value in given]
    if quantifier == "ForAllValues":
        return all(fits)
    if quantifier == "ForAnyValue":
        return any(fits)
    if not given:
        return negated
    return all(fits) if negated else any(fits)


def _of_key(context: Context, key: str) -> Any:
    """Condition keys are the same in any case."""
    return next((value for name, value in context.items() if name.lower() == key.lower()), None)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
