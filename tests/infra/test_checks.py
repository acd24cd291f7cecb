"""The checks' own parts: resolving a template, reaching, the command line, the other two templates."""

import copy
import subprocess
import sys

import pytest
from pathology.contracts.errors import RequestError

from infra.checks import __main__ as command
from infra.checks import notebook
from infra.checks.joining import joined
from infra.checks.notebook import write_script
from infra.checks.outputs import MAX_BYTES, check_exports, check_text
from infra.checks.reach import reaches
from infra.checks.suite import TEMPLATES, findings, findings_alone, findings_of, findings_together, variants
from infra.checks.template import Stack, parse


def stack_of(properties, **sections):
    return Stack({"Resources": {"Thing": {"Type": "AWS::X::Thing", "Properties": properties}}, **sections})


# ---- parsing ----
def test_short_forms_become_long_ones(tmp_path):
    path = tmp_path / "t.yml"
    path.write_text("Resources:\n  A: {P: !Ref B, Q: !GetAtt B.C.D, R: !Sub 'x${Y}', S: !If [Z, 1, !Ref AWS::NoValue]}\n")
    assert parse(path)["Resources"]["A"] == {
        "P": {"Ref": "B"},
        "Q": {"Fn::GetAtt": ["B", "C.D"]},
        "R": {"Fn::Sub": "x${Y}"},
        "S": {"Fn::If": ["Z", 1, {"Ref": "AWS::NoValue"}]},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"a: [", "not valid YAML"),
        (b"a: 1", "no Resources"),
        (b"- a", "not a valid CloudFormation template"),
        (b"Resources: []", "no Resources"),
        (b"Resources: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_an_invalid_template_is_named(tmp_path, content, message):
    path = tmp_path / "t.yml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError, match=message) as raised:
        parse(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


# ---- resolving ----
@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ({"Ref": "Thing"}, "<Thing>"),
        ({"Fn::GetAtt": ["Thing", "Arn"]}, "<Thing.Arn>"),
        ({"Fn::GetAtt": "Thing.Arn"}, "<Thing.Arn>"),
        ({"Ref": "Size"}, 3),
        ({"Fn::Sub": "${Thing.Arn}/${Size}/${AWS::AccountId}/${!Literal}"}, "<Thing.Arn>/3/111122223333/${Literal}"),
        ({"Fn::Sub": ["${Own}-${Size}", {"Own": {"Ref": "Thing"}}]}, "<Thing>-3"),
        ({"Fn::Join": [",", [{"Ref": "Thing"}, 1]]}, "<Thing>,1"),
        ({"Fn::If": ["Large", "big", "small"]}, "big"),
        ({"Fn::If": ["Named", "named", "not"]}, "not"),
        ({"Fn::Select": ["1", {"Fn::GetAZs": ""}]}, "<zone 1>"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::ImportValue": {"Fn::Sub": "${Name}-X"}}, "<import <Name>-X>"),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
        ({"A": {"Ref": "AWS::NoValue"}, "B": {"Fn::Base64": "text"}}, {"B": "text"}),
    ],
)
def test_functions_are_carried_out(value, resolved):
    stack = stack_of(
        {"Value": value},
        Parameters={"Size": {"Default": 3}, "Name": {"Type": "String"}},
        Conditions={
            "Large": {"Fn::And": [{"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, 1]}]}, {"Fn::Equals": [1, 1]}]},
            "Named": {"Fn::Not": [{"Condition": "Large"}]},
        },
    )
    assert stack.resources["Thing"]["Value"] == resolved
    assert stack.dangling == []


def test_a_function_that_is_not_known_is_refused():
    with pytest.raises(RequestError, match=r"Thing: Fn::Cidr is not among the functions"):
        stack_of({"Value": {"Fn::Cidr": ["10.0.0.0/16", 2, 8]}})


def test_a_reference_to_nothing_is_a_finding(template):
    template["Resources"]["Notebook"]["Properties"]["SubnetId"] = {"Ref": "PrivateSubnetC"}
    assert "Notebook: refers to PrivateSubnetC, which is not there" in map(str, findings(template))


def test_a_resource_whose_condition_fails_is_not_there(parsed):
    assert "TrainingRepository" in Stack(parsed).resources
    assert "TrainingRepository" not in Stack(parsed, {"MakeRegistries": "no"}).resources


def test_both_settings_of_the_switches_are_checked_and_an_address(parsed):
    switched = {"KmsEndpoint": "yes", "MonitoringEndpoint": "yes", "EfsDemandsTls": "yes"}
    assert list(variants(parsed)) == [{}, switched, {"NotificationEmail": "<NotificationEmail>"}]


# ---- reaching ----
@pytest.mark.parametrize(
    ("source", "target", "port", "reached"),
    [
        ("Job", "Efs", 2049, True),
        ("Notebook", "Efs", 2049, True),
        ("Job", "Efs", 22, False),
        ("Efs", "Job", 2049, False),
        ("Endpoint", "Efs", 2049, False),
        ("Job", "Endpoint", 443, True),
        ("Notebook", "Endpoint", 443, True),
        ("Job", "Endpoint", 80, False),
        ("Job", "Job", 29500, True),
        ("Notebook", "Job", 443, False),
        ("Notebook", "Notebook", 443, False),
    ],
)
def test_who_reaches_whom(stack, source, target, port, reached):
    assert reaches(stack, f"<{source}SecurityGroup>", f"<{target}SecurityGroup>", port) is reached


# ---- the other templates ----
def planted(name, change):
    template = parse(TEMPLATES[name])
    change(template["Resources"])
    return [str(one) for one in findings(template)]


ANY_VERSION = {"Fn::Sub": "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:model-package/pathology-*"}


def domain(resources):
    return resources["Domain"]["Properties"]


STUDIO = {
    "internet": (lambda r: domain(r).update(AppNetworkAccessType="PublicInternetOnly"), "Domain: its apps have internet"),
    "no network": (lambda r: domain(r).update(SubnetIds=["x"]), "Domain: is not in the private subnets"),
    "no key": (lambda r: domain(r).pop("KmsKeyId"), "Domain: is not encrypted"),
    "no EFS": (
        lambda r: domain(r)["DefaultUserSettings"].pop("CustomFileSystemConfigs"),
        "Domain: has not the stack's file system",
    ),
    "no group": (lambda r: domain(r)["DefaultUserSettings"].pop("SecurityGroups"), "Domain: its people have no security group"),
    "no role": (lambda r: domain(r)["DefaultUserSettings"].update(ExecutionRole="x"), "Domain: its people have no role"),
    "nobody": (lambda r: r.pop("UserProfile"), "studio: there is no UserProfile"),
    "no domain": (lambda r: r.pop("Domain"), "studio: there is no Domain"),
    "no NFS": (lambda r: r["EfsFromStudio"]["Properties"].update(ToPort=2048), "do not reach EfsSecurityGroupId on port 2049"),
    "no endpoints": (lambda r: r.pop("EndpointsFromStudio"), "do not reach EndpointSecurityGroupId on port 443"),
    "approval for all": (
        lambda r: r["StudioRole"]["Properties"]["ManagedPolicyArns"].append(
            {"Fn::ImportValue": {"Fn::Sub": "${InfraStack}-ApproverPolicyArn"}}
        ),
        "StudioRole: has ApproverPolicy, and PeopleApprove is no",
    ),
    "approval for nobody": (
        lambda r: r["StudioRole"]["Properties"]["ManagedPolicyArns"].pop(),
        "StudioRole: lacks ApproverPolicy, and PeopleApprove is yes",
    ),
    "approval besides": (
        lambda r: r["StudioRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].append(
            {"Sid": "More", "Effect": "Allow", "Action": "sagemaker:UpdateModelPackage", "Resource": ANY_VERSION}
        ),
        "StudioRole: may approve model versions by a statement of its own",
    ),
    "open": (
        lambda r: r["StudioFromItself"]["Properties"].update(CidrIp="0.0.0.0/0"),
        "StudioFromItself: lets addresses in (0.0.0.0/0)",
    ),
    "trust": (
        lambda r: r["StudioRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0].update(Principal={"AWS": "*"}),
        "StudioRole: can be assumed by",
    ),
}
CODEBUILD = {
    "logs not kept": (lambda r: r["ImageBuildLogs"].pop("DeletionPolicy"), "ImageBuildLogs: holds data"),
    "pushes anywhere": (
        lambda r: r["ImageBuildRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][3].update(Resource="*"),
        "PushImages: allows ecr:PutImage on everything",
    ),
    "trust": (
        lambda r: r["ImageBuildRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
        "ImageBuildRole: can be assumed on behalf of any account",
    ),
}


@pytest.mark.parametrize(("change", "message"), STUDIO.values(), ids=STUDIO)
def test_a_fault_of_studio_is_caught(change, message):
    assert any(message in one for one in planted("studio-stack", change))


@pytest.mark.parametrize(("change", "message"), CODEBUILD.values(), ids=CODEBUILD)
def test_a_fault_of_the_builds_is_caught(change, message):
    assert any(message in one for one in planted("codebuild", change))


def test_an_import_that_nobody_exports_is_caught(template, platform):
    for name in ("studio-stack", "codebuild"):
        assert list(check_exports(Stack(parse(TEMPLATES[name])), Stack(platform))) == []
    del template["Outputs"]["EFSFileSystemId"]["Export"]
    expected = ["import EFSFileSystemId: is not a valid export of platform-stack.yml"]
    assert [str(one) for one in check_exports(Stack(parse(TEMPLATES["studio-stack"])), Stack(template))] == expected
    assert expected[0] in map(str, findings(template))


def test_an_import_behind_a_switch_that_nobody_exports_is_caught(template):
    del template["Outputs"]["ApproverPolicyArn"]["Export"]
    assert "import ApproverPolicyArn: is not a valid export of platform-stack.yml" in map(str, findings(template))


# ---- the network and the platform, two templates ----
def test_the_platform_takes_its_network_by_parameters_alone(network, platform):
    """So that a network of one's own is given in the very same way."""
    assert "ImportValue" not in str(platform)
    taken = network["Outputs"].keys() & platform["Parameters"].keys()
    assert taken == {"VpcId", "PrivateSubnetAId", "PrivateSubnetBId", "EndpointSecurityGroupId"}
    assert {name for name, item in platform["Parameters"].items() if "Default" not in item} == taken - {"EndpointSecurityGroupId"}


def test_joining_puts_outputs_in_place_of_parameters(network, platform, parsed):
    before = copy.deepcopy((network, platform))
    assert joined(network, platform) == parsed
    assert (network, platform) == before
    assert parsed["Resources"].keys() == network["Resources"].keys() | platform["Resources"].keys()
    assert not parsed["Parameters"].keys() & {"VpcId", "PrivateSubnetAId"}
    assert parsed["Resources"]["MountTargetA"]["Properties"]["SubnetId"] == {"Ref": "PrivateSubnetA"}
    assert "subnet/${PrivateSubnetB}" in str(parsed["Resources"]["NetworkInterfacesPolicy"])


def pair(**sections):
    """A network with the output Id, and a platform that uses it."""
    network = {"Resources": {"Net": {"Type": "AWS::EC2::VPC"}}, "Outputs": {"Id": {"Value": sections.pop("value")}}}
    return network, {"Parameters": {"Id": {"Type": "String"}}, **sections}


@pytest.mark.parametrize(
    ("value", "text"), [({"Ref": "Net"}, "a-${Net}"), ({"Fn::GetAtt": ["Net", "CidrBlock"]}, "a-${Net.CidrBlock}")]
)
def test_joining_reaches_into_texts(value, text):
    thing = {
        "Type": "AWS::X::Y",
        "Properties": {"A": {"Fn::Sub": "a-${Id}"}, "B": {"Fn::Sub": ["a-${Id}", {"C": {"Ref": "Id"}}]}},
    }
    properties = joined(*pair(value=value, Resources={"Thing": thing}))["Resources"]["Thing"]["Properties"]
    assert properties == {"A": {"Fn::Sub": text}, "B": {"Fn::Sub": [text, {"C": value}]}}


@pytest.mark.parametrize(
    ("value", "resources", "message"),
    [
        ({"Ref": "Net"}, {"Net": {"Type": "AWS::EC2::VPC"}}, "Resources of both templates are named Net"),
        ({"Fn::Join": ["", []]}, {"Thing": {"P": {"Fn::Sub": "${Id}"}}}, "output Id is .*, which is no reference"),
    ],
)
def test_what_cannot_be_joined_is_refused(value, resources, message):
    with pytest.raises(RequestError, match=message):
        joined(*pair(value=value, Resources=resources))


def output(name, reference):
    return lambda network: network["Outputs"][name].update(Value={"Ref": reference})


WIRES = {
    "public for private": (
        output("PrivateSubnetBId", "PublicSubnet"),
        "from the private subnet PublicSubnet to <InternetGateway>",
    ),
    "one for two": (output("PrivateSubnetBId", "PrivateSubnetA"), "jobs want two"),
    "subnet for network": (output("VpcId", "PrivateSubnetA"), "output VpcId: is <PrivateSubnetA>; EC2::VPC is meant"),
    "no group": (
        output("EndpointSecurityGroupId", "Vpc"),
        "output EndpointSecurityGroupId: is <Vpc>; EC2::SecurityGroup is meant",
    ),
    "no network": (lambda network: network["Outputs"].pop("VpcId"), "parameter VpcId: is no output of the network's template"),
    "no endpoints": (
        lambda network: network["Outputs"].pop("EndpointSecurityGroupId"),
        "output EndpointSecurityGroupId: is missing",
    ),
}


@pytest.mark.parametrize(("change", "message"), WIRES.values(), ids=WIRES)
def test_a_fault_between_the_two_is_caught(network, platform, change, message):
    changed = copy.deepcopy(network)
    change(changed)
    assert any(message in str(one) for one in findings_together(changed, platform))


ALONE = {
    "another network": (
        lambda r: r["MountTargetB"]["Properties"].update(SubnetId="subnet-x"),
        "PrivateSubnetB: has 0 mount targets of FileSystem where one is wanted",
    ),
    "one subnet": (
        lambda r: r["MountTargetB"]["Properties"].update(SubnetId={"Ref": "PrivateSubnetAId"}),
        "PrivateSubnetA: has 2 mount targets",
    ),
    "no flow log": (lambda r: r.pop("FlowLog"), "Vpc: no flow log records its traffic"),
    "jobs elsewhere": (
        lambda r: r["PipelineRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0].pop("Condition"),
        "PipelineRole: may sagemaker:CreateTrainingJob in a strange subnet",
    ),
    "no NFS": (lambda r: r.pop("EfsFromJobs"), "MountTargetA: cannot be reached from the group JobSecurityGroupId on port 2049"),
    "wide endpoints": (lambda r: r["EndpointsFromJobs"]["Properties"].update(ToPort=444), "which nothing needs"),
    "no group to open": (lambda r: r["EndpointsFromJobs"].pop("Condition"), "EndpointsFromJobs: has no GroupId"),
    "no log to write": (
        lambda r: r["FlowLog"].pop("Condition"),
        "FlowLog: refers to FlowLogGroup, which is not there when MakeFlowLog is no",
    ),
    "approving jobs": (lambda r: r["JobRole"]["Properties"]["ManagedPolicyArns"].pop(), "JobRole: may approve model versions"),
}


@pytest.mark.parametrize(("change", "message"), ALONE.values(), ids=ALONE)
def test_a_fault_of_the_platform_in_a_vpc_of_ones_own_is_caught(platform, change, message):
    changed = copy.deepcopy(platform)
    change(changed["Resources"])
    assert any(message in str(one) for one in findings_alone(changed))


def test_the_platform_alone_has_no_finding(platform):
    assert findings_alone(platform) == []


def test_a_file_is_looked_at_with_its_other_half(tmp_path, capsys):
    mine = tmp_path / "mine.yml"
    text = TEMPLATES["network-stack"].read_text()
    mine.write_text(text.replace("SubnetIds: [!Ref PrivateSubnetA, !Ref PrivateSubnetB]", "SubnetIds: [!Ref PrivateSubnetA]"))
    assert command.main([str(mine)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "mine.yml: StsEndpoint: is not in all private subnets and in these alone" in lines
    assert len(lines) == len(set(lines)) == 8


def test_a_finding_of_both_is_printed_once_under_the_file_that_has_it(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "platform-stack.yml"
    broken.write_text(TEMPLATES["platform-stack"].read_text().replace("RootAccess: Disabled", "RootAccess: Enabled"))
    monkeypatch.setitem(TEMPLATES, "platform-stack", broken)
    assert command.main([]) == 1
    assert capsys.readouterr().out == "platform-stack.yml: Notebook: RootAccess is not Disabled\n"


# ---- the text ----
ACCOUNT = "2" * 12
STRANGERS = [
    *(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/x", "AKIA" + "ABCDEFGH" * 2),
    *(f"{kind}-0123{digits}" for kind, digits in {"subnet": "abcd", "fs": "456789abcdef0", "sg": "4567", "vpc": "cafe"}.items()),
]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_something_of_an_account_is_caught(tmp_path, stranger):
    path = tmp_path / "t.yml"
    path.write_text(f"# example\nDescription: {stranger}\n")
    messages = {str(one) for one in check_text(path)}
    assert f"t.yml, line 2: names {stranger}, something of an account" in messages


@pytest.mark.parametrize("text", ["arn:aws:iam::111122223333:role/x", "rsize=1048576", "sha256:" + "1" * 64, "2012-10-17"])
def test_examples_are_no_account(tmp_path, text):
    path = tmp_path / "t.yml"
    path.write_text(text)
    assert list(check_text(path)) == []


def test_a_template_that_deploy_does_not_take_is_caught(tmp_path):
    path = tmp_path / "t.yml"
    path.write_text("é" * (MAX_BYTES // 2) + "x")
    assert [str(one) for one in check_text(path)] == [
        f"t.yml: has {MAX_BYTES + 1} bytes; aws cloudformation deploy takes {MAX_BYTES}: shorten it"
    ]


# ---- the command line ----
def test_no_finding_is_exit_0(capsys):
    assert command.main([]) == 0
    assert capsys.readouterr() == ("", "nothing found\n")


def test_findings_are_lines_and_exit_1(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(TEMPLATES["platform-stack"].read_text().replace("RootAccess: Disabled", "RootAccess: Enabled"))
    done = subprocess.run([sys.executable, "-m", "infra.checks", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "mine.yml: Notebook: RootAccess is not Disabled\n", "1 findings\n")


def test_no_template_is_one_line_and_exit_2(tmp_path, capsys):
    assert command.main([str(tmp_path / "gone.yml")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


# ---- the notebook's script ----
@pytest.fixture
def script_and_template(tmp_path, monkeypatch):
    """A copy of the template, a script that was changed, and both known to the checks."""
    script, template = tmp_path / "on-start.sh", tmp_path / "platform-stack.yml"
    script.write_text("#!/bin/bash\n# why\nif true; then\n    # how\n    echo 'ä: ${!x} \\n'\nfi\n")
    template.write_text(TEMPLATES["platform-stack"].read_text())
    monkeypatch.setattr(notebook, "SCRIPT", script)
    return script, template


def test_a_script_is_put_in_as_it_is_and_only_once(script_and_template):
    _, template = script_and_template
    before = copy.deepcopy(parse(template))
    assert [str(one) for one in findings_alone(before)] == [
        "NotebookLifecycle: its script is not on-start.sh: run python -m infra.checks --write"
    ]
    assert write_script(template)
    after = parse(template)
    assert findings_alone(after) == []
    content = after["Resources"]["NotebookLifecycle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Join"][1]
    assert content[1] == "#!/bin/bash\nif true; then\n    echo 'ä: ${!x} \\n'\nfi\n", "as it is, without its comments"
    content[1] = before["Resources"]["NotebookLifecycle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Join"][1][1]
    assert after == before, "something else was changed"
    assert not write_script(template)
    assert [path.name for path in template.parent.iterdir() if path.name.startswith(".")] == []


def test_the_real_script_is_in_the_real_template():
    assert not write_script(TEMPLATES["platform-stack"])


def test_a_template_without_a_place_for_the_script_is_refused(script_and_template):
    _, template = script_and_template
    template.write_text(template.read_text().replace("# infra/lifecycle/on-start.sh", "# something"))
    with pytest.raises(RequestError, match="put it back"):
        write_script(template)


def test_write_says_what_it_did(script_and_template, monkeypatch, capsys):
    _, template = script_and_template
    monkeypatch.setitem(TEMPLATES, "platform-stack", template)
    assert command.main(["--write"]) == 0
    assert capsys.readouterr().out == "platform-stack.yml: the notebook's script was put in\n"
    assert findings_of(template) == []
