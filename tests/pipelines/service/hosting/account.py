"""What moto lacks of SageMaker's hosting: UpdateEndpoint, and a model that answers. Every request is held against botocore's model."""

import json
from urllib.parse import unquote

import boto3

from pipelines.checks.shapes import request_faults
from tests.pipelines.on_aws import response


class Account:
    """``answers`` and ``statuses`` are given in order; ``model`` is who answers else, with ``any_model`` whichever was made last."""

    def __init__(self):
        self.updates, self.requests, self.answers, self.statuses, self.versions = [], [], [], [], []
        self.model, self.any_model = "model of none", False

    def __call__(self, request, **_):
        url = unquote(request.url)
        if url.endswith("/invocations"):
            self.requests.append((url, request.body))
            model = self._deployed() if self.any_model else self.model
            answer = (200, {"label": "MSS", "probability": 0.25, "model_version": model})
            given = self.answers.pop(0) if self.answers else answer
            return response(*given, kind="application/json")
        target = request.headers.get("X-Amz-Target", b"")
        service, _, operation = (target.decode() if isinstance(target, bytes) else target).partition(".")
        if service != "SageMaker":
            return None
        body = json.loads(request.body)
        assert request_faults(operation, body) == []
        if operation == "CreateModel":
            self.versions.append(next(tag["Value"] for tag in body["Tags"] if tag["Key"] == "model-package"))
        if operation == "UpdateEndpoint":
            self.updates.append(body)
            return response(200, {"EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{body['EndpointName']}"})
        if operation == "DeleteEndpoint":
            self.updates.clear()
        if operation == "DescribeEndpoint" and self.updates:
            status, config = self.statuses.pop(0) if self.statuses else ("InService", self.updates[-1]["EndpointConfigName"])
            return response(200, described(body["EndpointName"], status, config))
        return None

    def _deployed(self):
        """The model of the version that was deployed last."""
        version = boto3.client("sagemaker").describe_model_package(ModelPackageName=self.versions[-1])
        return version["CustomerMetadataProperties"]["model_version"]


def described(name, status, config):
    arn = f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{name}"
    moments = {"CreationTime": 1794000000.0, "LastModifiedTime": 1794000060.0}
    return {"EndpointName": name, "EndpointArn": arn, "EndpointConfigName": config, "EndpointStatus": status, **moments}
