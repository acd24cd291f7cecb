"""A job's store reaches the region that the job names, whichever of the two variables says it."""

import pytest


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No variable and no file says anything of AWS."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "PATHOLOGY_URI_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
    ],
)
def test_the_region_that_the_environment_names(alone, variables, region):
    from pathology.storage import open_store

    for name, value in variables.items():
        alone.setenv(name, value)
    client = open_store().client
    assert client.meta.region_name == region
    assert client.meta.endpoint_url == f"https://s3.{region}.amazonaws.com"
