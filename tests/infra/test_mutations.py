"""Every planted fault is caught, by a finding about the fault; the template as it stands has none."""

import faults_network  # noqa: F401 (adds its faults to FAULTS)
import faults_roles  # noqa: F401 (adds its faults to FAULTS)
import faults_storage  # noqa: F401 (adds its faults to FAULTS)
import pytest
from faults import FAULTS, staged_findings

from infra.checks.suite import TEMPLATES, findings, findings_of


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_real_templates_have_no_finding(name):
    assert [str(finding) for finding in findings_of(TEMPLATES[name])] == []


def test_there_are_enough_faults_and_each_is_another():
    assert len(FAULTS) >= 45
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name[:80])
def test_a_planted_fault_is_caught(template, parsed, fault):
    fault.plant(template)
    assert template != parsed, "the fault changed nothing"
    about_it = any(
        fault.where in one.where and fault.problem in one.problem for result in staged_findings(template) for one in result
    )
    assert about_it, f"{fault.name} is not among {[str(one) for one in findings(template)]}"
