import pytest
import yaml
from pathology.contracts.errors import RequestError

from pipelines.config import DEFINITIONS, EXAMPLE, LOCAL, load_environment, load_task, pipeline_name
from pipelines.tasks import NAMES


def task_with(tmp_path, *path, value, task="msi"):
    """A task's YAML with one key set."""
    content = yaml.safe_load((DEFINITIONS / f"{task}.yaml").read_text())
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (tmp_path / f"{task}.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("trian",), {}, "msi.yaml: trian: unknown key"),
        (("train", "hyperparameters", "epoch"), 3, "msi.yaml: train.hyperparameters.epoch: unknown key"),
        (("train", "hyperparameters", "epochs"), 0, "epochs: Input should be greater than or equal to 1, not 0"),
        (("train", "hyperparameters", "epochs"), "many", "epochs: Input should be a valid integer"),
        (("extract", "run-as"), "magic", "extract.run-as: Input should be 'processing' or 'training'"),
        (("extract", "resources", "instance-count"), 0, "extract.resources.instance-count"),
        (("gate", "min-auroc"), 1.5, "gate.min-auroc: Input should be less than or equal to 1"),
        (("dataset", "slides"), "/data/slides", "dataset.slides: '/data/slides' is not a valid URI"),
        (("dataset", "slides"), "s3://{buckets}/x", "only {bucket} and {file_system} can stand in braces"),
        (
            ("prepare", "hyperparameters", "max-left-out-fraction"),
            0.2,
            "max_left_out_fraction is 0.2 and collect.hyperparameters.max_left_out_fraction is 0.05, and both are the parameter MaxLeft",
        ),
        (("pipeline",), "my_pipeline", "pipeline: String should match pattern"),
    ],
)
def test_what_is_wrong_in_the_yaml_is_named(tmp_path, path, value, message):
    with pytest.raises(RequestError) as refused:
        load_task("msi", LOCAL, task_with(tmp_path, *path, value=value))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("extract",), {}, "mhist.yaml: extract: unknown key"),
        (
            ("train", "hyperparameters", "fine-tuning"),
            "everything",
            "train.hyperparameters.fine-tuning: Input should be 'linear', 'lora'",
        ),
        (("prepare", "hyperparameters", "folds"), 5, "prepare.hyperparameters.folds: unknown key"),
        (("train", "hyperparameters", "protocol"), "eva", "mhist.yaml: train's protocol eva chooses the epoch on the test"),
        (("evaluate", "hyperparameters", "resamples"), 1, "evaluate.hyperparameters.resamples"),
        (("dataset", "images"), "images", "mhist.yaml: dataset.images: 'images' is not a valid URI"),
        (("train", "training"), "s3://{buckets}/x", "train.training: 's3://{buckets}/x': only {bucket} and {file_system}"),
    ],
)
def test_what_is_wrong_in_mhists_yaml_is_named(tmp_path, path, value, message):
    with pytest.raises(RequestError) as refused:
        load_task("mhist", LOCAL, task_with(tmp_path, *path, value=value, task="mhist"))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("task", NAMES)
def test_every_task_is_filled_in_and_has_a_pipeline_of_its_own(task):
    loaded = load_task(task, LOCAL)
    assert loaded.pipeline == pipeline_name(task) == loaded.register_as.group == f"pathology-{task}"
    uris = [uri for field in loaded.fields() if field.uri and (uri := field.value(loaded)) is not None]
    assert len(uris) >= 4
    assert all(uri.startswith((f"s3://{LOCAL.bucket}/", f"efs://{LOCAL.file_system}/")) for uri in uris)


def test_unknown_task_and_environment_are_refused():
    with pytest.raises(RequestError, match="there is no task 'brain'"):
        load_task("brain", LOCAL)
    with pytest.raises(RequestError, match=r"nowhere: there is no such environment"):
        load_environment("nowhere")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (("images", "training"), "repository:latest", "images.training: name the image by digest"),
        (("images", "training"), "repository", "images.training: name the image by digest"),
        (("vpc",), "x", "vpc: unknown key"),
        (("job_role",), "admin", "job.role"),
        (("account",), "12", "account"),
        (("tags",), {f"k{number}": "v" for number in range(47)}, "tags: .*46"),
    ],
)
def test_what_is_wrong_in_an_environment_is_named(tmp_path, key, value, message):
    content = yaml.safe_load((DEFINITIONS.parent / "environments" / "example.yaml").read_text())
    node = content
    for part in key[:-1]:
        node = node[part]
    node[key[-1]] = value
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(RequestError, match=message):
        load_environment(str(path))


FILLED_IN = {
    "name": "dev",
    "account": "444455556666",
    "pipeline_role": "arn:aws:iam::444455556666:role/pipeline",
    "job_role": "arn:aws:iam::444455556666:role/job",
    "bucket": "ours-444455556666",
    "file_system": "fs-0a1b2c3d",
    "network": {"subnets": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"], "security_groups": ["sg-0a1b2c3d"]},
    "images": {
        name: f"444455556666.dkr.ecr.us-east-1.amazonaws.com/{name}@sha256:{'ab' * 32}" for name in ("cucim_tiler", "training")
    },
    "kms_key": "arn:aws:kms:us-east-1:444455556666:key/0a1b2c3d-3333-4444-5555-666677778888",
}


def filled_in(tmp_path, **changes):
    """A copy of the example with one's own values in all its keys but those that ``changes`` leaves as they were."""
    example = yaml.safe_load(EXAMPLE.read_text())
    path = tmp_path / "dev.yaml"
    path.write_text(yaml.safe_dump({**example, **FILLED_IN, **changes}))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"account": "111122223333"}, "account"),
        ({"name": "example"}, "name"),
        ({"job_role": "arn:aws:iam::111122223333:role/ours"}, "job_role"),
        ({"bucket": "pathology-111122223333"}, "bucket"),
        ({"file_system": "fs-11112222", "kms_key": yaml.safe_load(EXAMPLE.read_text())["kms_key"]}, "file_system, kms_key"),
        ({"network": {"subnets": ["subnet-0a1b2c3d", "subnet-33334444"], "security_groups": ["sg-1"]}}, "network.subnets"),
        ({"network": {"subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-11112222"]}}, "network.security_groups"),
        ({"images": {**FILLED_IN["images"], "training": f"ours@sha256:{'0' * 64}"}}, "images.training"),
        (yaml.safe_load(EXAMPLE.read_text()), "name, account, pipeline_role, job_role, bucket, .*, images.training, kms_key"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "upsert"])
def test_the_examples_placeholders_are_refused_where_they_would_be_deployed(tmp_path, here, verb, changes, keys):
    refused = here(verb, "--task", "msi", "--environment", filled_in(tmp_path, **changes))
    assert (refused.code, refused.out) == (2, "")
    said = refused.err.splitlines()[-1].partition("dev.yaml: ")[2].partition(": still the example's, of example.yaml")[0]
    assert set(said.split(", ")) == set(keys.split(", ")) or (".*" in keys and len(said.split(", ")) == 11)


def test_an_environment_of_ones_own_and_the_example_itself_are_not(tmp_path):
    assert load_environment(filled_in(tmp_path), filled_in=True).name == "dev"
    assert load_environment("example", filled_in=True).name == "example"
    assert load_environment("local", filled_in=True).local
    assert load_environment(filled_in(tmp_path, account="111122223333")).account == "111122223333", "reading verbs take it"


def test_environment_comes_from_the_option_then_the_variable_then_local(monkeypatch):
    assert load_environment(None).name == "local"
    monkeypatch.setenv("PATHOLOGY_ENVIRONMENT", "example")
    assert load_environment(None).name == "example"
    assert load_environment("local").name == "local"
