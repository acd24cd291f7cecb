"""Take any one thing out of the template: a check sees it, or it is on the list of what may go."""

import copy
import re

import pytest
from faults import staged_findings

HARMLESS = {
    r"\.(Description|GroupDescription|ModelPackageGroupDescription|Sid|Id|LogFilePrefix)$": "words for people",
    r"\.(Tags|FileSystemTags)\b": "names for people",
    r"\.Metadata\b": "checkov's skips, held by their own test",
    r"\.(MapPublicIpOnLaunch|PerformanceMode|PendingWindowInDays|LogDestinationType|VolumeSizeInGB)$": "the service's default is the same",
    r"\.(ThroughputMode|BucketKeyEnabled|ExpirationInDays)$|\.LifecyclePolicies\.1\b": "costs, not faults",
    r"(Efs|Endpoint)SecurityGroup\.Properties\.SecurityGroupEgress\.0\.(IpProtocol|FromPort|ToPort)$": "to nowhere, on any port",
    r"(Repository|FlowLogGroup)\.Condition$": "the switch still has the others",
    r"EndpointsFrom\w+\.Condition$": "of a VPC of one's own alone (tests/infra/test_checks.py)",
    # whether these are what verbs and jobs call is derived from the calls, not from the template
    r"AuthorPolicy\.Properties\.PolicyDocument\.Statement\.\d+\b": "what verbs call",
    r"DeployerPolicy\.Properties\.PolicyDocument\.Statement\.[1345]\b": "what verbs on endpoints call, and the key of their hosts' disks",
    r"PipelineRole\.Properties\.Policies\.0\.PolicyDocument\.Statement\.[12]\b": "what pipelines call",
    r"JobRole\.Properties\.Policies\.0\.PolicyDocument\.Statement\.[0-4]\b": "what jobs call",
}


def paths_in(value, path=()):
    """Paths of everything inside, down to functions, which are taken whole."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key != "Type":
            yield (*path, key)
        yield from paths_in(item, (*path, key))


def without(value, path):
    """A template that shares all but the way to the missing place with the whole one: checks change nothing."""
    key, *rest = path
    left = value.copy()
    if rest:
        left[key] = without(value[key], rest)
    else:
        del left[key]
    return left


def explained(path):
    return any(re.search(pattern, ".".join(map(str, path))) for pattern in HARMLESS)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["Resources", "Outputs"])
def test_whatever_is_taken_out_is_missed(parsed, part):
    paths = list(paths_in(parsed[part], (part,)))
    assert len(paths) > 50
    before = copy.deepcopy(parsed)
    silent = [
        ".".join(map(str, path)) for path in paths if not explained(path) and not any(staged_findings(without(parsed, path)))
    ]
    assert silent == []
    assert parsed == before, "a check changed the template"
