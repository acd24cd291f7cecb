"""The guide to deploying, held against the templates, the pipelines, and what AWS's requests take."""

import math
import re
from collections import defaultdict

import botocore.session
import pytest

from infra.checks.suite import TEMPLATES
from infra.checks.template import Stack, parse
from pipelines.checks.expressions import all_steps
from pipelines.service.health.quotas import quota_name
from pipelines.service.health.subject import job_needs
from tests.docs.reading import CHECKLIST, GUIDE, ROOT, commands, one_line, parses, prose

NAMES_OF_AWS = {
    *("AdditionalModelDataSources", "ModelDataSource", "InferenceAmiVersion", "CustomPosixUserConfig", "NetworkConfig"),
    *("ModelCard", "ModelLifeCycle", "SourceUri", "FailureReason"),
}
"""Members of requests and of resources, which botocore or the template has; checked below."""


def test_the_guide_has_commands():
    assert len(commands(GUIDE)) > 50
    assert not parses("aws s3 cp 'a b")


@pytest.fixture(scope="module")
def templates():
    return {f"infra/{path.name}": parse(path) for path in TEMPLATES.values()}


def test_parameters_and_stacks_are_the_templates(templates):
    deployments = [one_line(command) for command in commands(GUIDE) if "cloudformation deploy" in command]
    assert {re.search(r"--template-file (\S+)", text)[1] for text in deployments} == templates.keys()
    wrong = []
    for text in deployments:
        template = templates[re.search(r"--template-file (\S+)", text)[1]]
        given = re.findall(r"(\w+)=", (re.search(r'--parameter-overrides ((?:\w+=(?:"[^"]*"|\S+) ?)+)', text) or ["", ""])[1])
        wrong += [name for name in given if name not in template["Parameters"]]
        needed = {name for name, item in template["Parameters"].items() if "Default" not in item}
        roles = any(item["Type"].startswith("AWS::IAM::") for item in template["Resources"].values())
        assert ("CAPABILITY_IAM" in text) is roles
        assert "--no-execute-changeset" in text or needed <= set(given)
    assert wrong == []


def test_outputs_are_the_templates(templates):
    stacks = {
        re.search(r"--stack-name (\S+)", text)[1]: templates[re.search(r"--template-file (\S+)", text)[1]]
        for text in map(one_line, commands(GUIDE))
        if "--template-file" in text
    }
    named = re.findall(r"\boutput ([A-Z]\w+)(?: (pathology[\w-]*))?", GUIDE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [(name, stack) for name, stack in named if name not in stacks[stack or "pathology"]["Outputs"]] == []


def test_every_parameter_is_explained_with_its_default(templates):
    text = GUIDE.read_text(encoding="utf-8")
    text = text[text.index("### Their parameters") :]
    for half, name in zip(text.split("The platform's:\n", 1), ("network-stack", "platform-stack"), strict=True):
        parameters = templates[f"infra/{name}.yml"]["Parameters"]
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \|", half, re.MULTILINE)
        explained = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
        assert parameters.keys() == explained.keys() & parameters.keys()
        for parameter, item in parameters.items():
            default = item.get("Default", "none")
            if default and not parameter.endswith("Cidr"):
                assert str(default) in explained[parameter], parameter


def test_what_is_kept_is_what_the_templates_keep(templates):
    text = GUIDE.read_text(encoding="utf-8")
    table = re.search(r"^\| Kept .*?\n\n", text, re.MULTILINE | re.DOTALL)[0]
    kept = {
        name for item in templates.values() for name, one in item["Resources"].items() if one.get("DeletionPolicy") == "Retain"
    }
    assert set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.split("\n") if row))) == kept


def test_the_template_needs_no_bucket():
    assert max(path.stat().st_size for path in TEMPLATES.values()) <= 51_200
    assert "51,200" in CHECKLIST.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [GUIDE, CHECKLIST], ids=["guide", "checklist"])
def test_names_in_code_exist(page, templates, definitions):
    """Every `CamelCase` name is a parameter, an output or a resource of a template, a step or a parameter of a pipeline."""
    known = set(NAMES_OF_AWS)
    for template in templates.values():
        known |= {*template["Parameters"], *template["Resources"], *template["Outputs"], *template.get("Rules", {})}
        known |= set(re.findall(r"'(\w+)':", repr(template["Resources"])))
    for definition in definitions.values():
        known |= set(re.findall(r"'Name': '(\w+)'", repr(definition)))
    words = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)(?:=[^`]*)?`", prose(page)))
    assert len(words) > 10
    assert words - known == set()
    steps = set(
        re.findall(
            r"\b((?:Prepare|Extract|Collect|Stage|Train|Evaluate|Compare|Check|Register|Describe)[A-Z][a-z]+)\b", prose(page)
        )
    )
    assert steps - known == set()


def test_quotas_are_those_that_doctor_compares(definitions):
    needed = defaultdict(int)
    steps = defaultdict(set)
    for definition in definitions.values():
        for job in job_needs(definition):
            needed[quota_name(job)] = max(needed[quota_name(job)], job.instance_count)
            steps[quota_name(job)].add(job.step)
    rows = re.findall(r"^\| `([^`]+ usage)` \| (\d+) \| ([^|]*) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    asked = {name: int(count) for name, count, _ in rows}
    assert {name: count for name, count in asked.items() if "endpoint" not in name} == needed
    for name, _, what in rows:
        assert set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", what.partition(";")[0])) == steps[name]
    endpoint = {name.partition(" ")[0] for name in asked if "endpoint" in name}
    types = {task: set(registration(item)["SupportedRealtimeInferenceInstanceTypes"]) for task, item in definitions.items()}
    assert all(endpoint & allowed for allowed in types.values()) and endpoint <= set().union(*types.values())


def sums(text):
    """Every ``a × b / c = $d`` and ``a × b / c are d hours``: what is written on the left, worked out, and d."""
    for left, right in re.findall(r"([\d.,]+(?: [×/] [\d.,]+)+) (?:= \$|are )([\d,]+(?:\.\d+)?)", text):
        value = 1.0
        for sign, number in re.findall(r"([×/]?) ?([\d.]+)", left.replace(",", "")):
            value = value / float(number) if sign == "/" else value * float(number)
        yield left, value, right


def test_sums_are_right():
    results = list(sums(GUIDE.read_text(encoding="utf-8")))
    assert len(results) >= 12
    for left, value, right in results:
        digits = len(right.partition(".")[2])
        assert math.isclose(value, float(right.replace(",", "")), abs_tol=0.5 * 10**-digits + 1e-9), (left, value, right)
    assert [value for _, value, _ in sums("2 × 3 / 4 = $9")] == [1.5]


def test_endpoints_are_counted_as_the_template_has_them(templates):
    def cost(**parameters):
        resources = Stack(templates["infra/network-stack.yml"], parameters).resources.values()
        return [
            len(one["SubnetIds"])
            for one in resources
            if one.type == "AWS::EC2::VPCEndpoint" and one["VpcEndpointType"] == "Interface"
        ]

    plain, both = cost(), cost(KmsEndpoint="yes", MonitoringEndpoint="yes")
    text = GUIDE.read_text(encoding="utf-8")
    assert f"{len(plain)} × {plain[0]} × 730 × 0.01" in text
    assert f"{len(both) - len(plain)} × {both[0]} × 730 × 0.01" in text
    assert set(plain) == set(both) == {2}


def test_what_it_costs_idle_is_the_sum_of_its_rows():
    text = GUIDE.read_text(encoding="utf-8")
    rows = ["Interface endpoints", "Notebook's disk", "EFS, encoder", "EFS backups", "S3, all", "KMS key", "Images"]
    prices = [float(re.search(rf"^\| {re.escape(row)}.*?= \$([\d.]+)", text, re.MULTILINE)[1]) for row in rows]
    total = re.search(r"about \*\*\$(\d+) a month", text)[1]
    assert round(sum(prices)) == int(total)


def test_names_of_aws_are_members_of_its_requests():
    model = botocore.session.get_session().get_service_model("sagemaker")
    container = model.operation_model("CreateModel").input_shape.members["PrimaryContainer"].members
    variant = model.operation_model("CreateEndpointConfig").input_shape.members["ProductionVariants"].member.members
    user = model.operation_model("CreateDomain").input_shape.members["DefaultUserSettings"].members
    processing = model.operation_model("CreateProcessingJob").input_shape.members
    version = model.operation_model("UpdateModelPackage").input_shape.members
    endpoint = model.operation_model("DescribeEndpoint").output_shape.members
    assert {*container, *variant, *user, *processing, *version, *endpoint} >= NAMES_OF_AWS


def registration(definition):
    """What the registering step of a definition says of inference."""
    (step,) = [step for step in all_steps(definition) if step["Type"] == "RegisterModel"]
    return step["Arguments"]["InferenceSpecification"]


def test_content_types_are_those_of_the_endpoint():
    from pathology.contracts.media import GEOJSON, IMAGES, JSON, NPY

    rows = dict(re.findall(r"^\| (msi|mhist|lizard) \| ((?:.*`.*)+) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    kinds = {task: set(re.findall(r"`((?:image|application)/[\w+-]+)`", row)) for task, row in rows.items()}
    assert kinds == {"msi": {JSON, GEOJSON}, "mhist": {*IMAGES, JSON}, "lizard": {*IMAGES, GEOJSON, JSON, NPY}}


def test_the_checklist_is_one_of_checkable_lines():
    lines = [line for line in CHECKLIST.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    assert len(lines) > 30
    assert all(line.startswith("- [ ] ") for line in lines)
    for page in (ROOT / "README.md", GUIDE):
        assert "first-deployment-checklist.md" in page.read_text(encoding="utf-8")
