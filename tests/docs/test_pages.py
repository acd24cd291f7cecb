"""Every page: its links lead somewhere, and what it names and calls exists."""

import re

import pytest

from pipelines.tasks import NAMES
from tests.areas import AREAS
from tests.docs.reading import (
    GUIDE,
    OPTION,
    ROOT,
    calls,
    commands,
    identities,
    missing_modules,
    missing_paths,
    options_of,
    pages,
    parses,
    prose,
    refused_by_aws,
    unfinished_link,
)


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]
    assert [wrong for target in targets if (wrong := unfinished_link(target, page))] == []


def test_a_link_to_nowhere_is_seen():
    assert unfinished_link("nowhere.md", GUIDE)
    assert unfinished_link("images.md#no-such-heading", GUIDE)
    assert unfinished_link("images.md", GUIDE) is None


@pytest.mark.parametrize("page", pages())
def test_paths_exist(page):
    assert missing_paths(page.read_text(encoding="utf-8")) == set()


def test_a_path_that_is_not_there_is_seen():
    text = "`infra/nothing.yml`, docs/deploy.md and s3://bucket/docs/x"
    assert missing_paths(text) == {"infra/nothing.yml"}


@pytest.mark.parametrize("page", pages())
def test_modules_exist(page):
    assert missing_modules(page.read_text(encoding="utf-8")) == set()


def test_a_module_that_is_not_there_is_seen():
    assert missing_modules("python -m pipelines.nothing, python -m pip, python -m pipelines.<verb>") == {"pipelines.nothing"}


@pytest.mark.parametrize("page", pages())
def test_commands_are_bash(page):
    assert [command for command in commands(page) if not parses(command)] == []


@pytest.mark.parametrize("page", pages())
def test_options_are_known(page):
    unknown = []
    for program, rest in calls(page):
        given = set(OPTION.findall(rest))
        unknown += [(program, option) for option in given if option not in options_of(program)]
    assert unknown == []


def test_options_of_verbs_scripts_and_modules_are_told_apart():
    assert "--only" in options_of("pipelines.start")
    assert "--onyl" not in options_of("pipelines.start")
    assert "--liu" in options_of("infra/datasets/download_tcga_coad.sh")
    assert "--write" in options_of("infra.checks")


@pytest.mark.parametrize("page", pages())
def test_verbs_tasks_and_parameters_are_those_of_the_pipelines(page, parameter_names):
    wrong = []
    for _, rest in calls(page):
        task = re.search(r"--task[ =](\S+)", rest)
        if task and task[1] not in NAMES:
            wrong.append(task[0])
        known = parameter_names[task[1]] if task and task[1] in NAMES else set().union(*parameter_names.values())
        wrong += [name for name in re.findall(r"--param[ =](\w+)=", rest) if name not in known]
    wrong += [name for name in re.findall(r"`--param (\w+)=", prose(page)) if name not in set().union(*parameter_names.values())]
    assert wrong == []


@pytest.mark.parametrize("page", pages())
def test_targets_of_make_exist(page):
    """``test-%`` stands for the areas of the tests."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) | {f"test-{area}" for area in AREAS}
    assert re.search(r"^test-%:", makefile, re.MULTILINE)
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named - targets == set()


@pytest.mark.parametrize("page", pages())
def test_no_account_but_the_documentations(page):
    assert identities(page.read_text(encoding="utf-8")) == set()


def test_other_accounts_are_seen():
    account = "4" * 12
    assert identities(f"arn:aws:iam::{account}:role/x, fs-0abc1234, subnet-11112222") == {account, "fs-0abc1234"}


@pytest.mark.parametrize("page", pages())
def test_calls_of_aws_are_known(page):
    texts = [*commands(page), *re.findall(r"`([^`\n]+)`", prose(page))]
    assert [wrong for text in texts for wrong in refused_by_aws(text)] == []


def test_calls_that_aws_refuses_are_seen():
    assert refused_by_aws("aws sagemaker describe-model --model-nam x") == ["--model-nam"]
    assert refused_by_aws("X=$(aws sagemaker describe-modl --model-name x); aws iam get-role --role-name x") == [
        "aws sagemaker describe-modl"
    ]
    assert refused_by_aws("aws cloudformation deploy --stack-name x --no-exec") == ["--no-exec"]


def test_contracts_are_defined_where_the_page_says():
    """Each name behind a module's in the last column is one of that module's."""
    package = ROOT / "containers" / "pathology"
    named = []
    for row in re.findall(r"^\| .* \| ([^|]*) \|$", (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8"), re.MULTILINE):
        for word in re.findall(r"`([^`]+)`", row):
            if word.endswith(".py"):
                path = next(base / word for base in (package, ROOT) if (base / word).is_file())
            else:
                named.append((path, word))
    assert len(named) > 10
    assert [(path.name, word) for path, word in named if f"\nclass {word}(" not in path.read_text(encoding="utf-8")] == []
