"""The templates as stacks under moto's CloudFormation."""

import warnings

import boto3

from infra.checks.suite import TEMPLATES
from infra.checks.template import parse

REGION, ACCOUNT = "us-east-1", "123456789012"
"""Where moto is when nobody says where: its DEFAULT_ACCOUNT_ID, which costs a second to import."""


def client(service):
    return boto3.client(service, region_name=REGION)


def deploy(name="pathology", **parameters):
    """A network and the platform in it under moto, each with those of the parameters that it has; the outputs of both."""
    of_network = parse(TEMPLATES["network-stack"])["Parameters"]
    network = deploy_one(f"{name}-network", "network-stack", **{k: v for k, v in parameters.items() if k in of_network})
    platform = parse(TEMPLATES["platform-stack"])["Parameters"]
    given = {key: value for key, value in network.items() if key in platform}
    given |= {key: value for key, value in parameters.items() if key not in of_network}
    return network | deploy_one(name, "platform-stack", **given)


def deploy_one(name, template, **parameters):
    """A stack under moto, and its outputs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tried to parse .* not supported", UserWarning)
        client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=TEMPLATES[template].read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        stack = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
