"""The verbs on local executions, as processes where another process is killed or watched meanwhile."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pathology.contracts.uris import Uri

from pipelines.config import LOCAL
from pipelines.service.following import poll_states
from pipelines.service.progress import Watched
from pipelines.service.session import open_session
from tests.waiting import MAX_WAIT_SECONDS, until

TASK = ("--task", "msi")
PIPELINE = "pathology-msi"
INTERNAL = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 0, "BackoffRate": 1.0, "MaxAttempts": 3}


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))


def verb(name, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", f"pipelines.{name}", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ran(account, who):
    path = account.root / "ran" / who
    return path.read_text() if path.exists() else ""


@pytest.fixture
def three(account, make):
    """Before → Dies → After; the middle one sleeps until ``healed`` is there. Started, and asleep."""
    account.pipeline(
        make.processing("Before", "once", environment={"WHO": "before"}),
        make.processing("Dies", "sleep_once", inputs={"data": make.get("Before")}),
        make.processing("After", "once", inputs={"data": make.get("Dies")}, environment={"WHO": "after"}),
        name=PIPELINE,
    )
    arn = account.start(PIPELINE)
    account.asleep()
    return arn


def test_a_job_killed_mid_run_is_shown_in_its_own_words_and_retried_from_there(account, three):
    watching = verb("watch", *TASK)
    (leader,) = account.leaders()
    os.kill(leader, signal.SIGKILL)
    out, err = watching.communicate(timeout=MAX_WAIT_SECONDS)
    assert watching.returncode == 1, err
    assert "Dies failed: AlgorithmError: asleep, exit code: 137 (SIGKILL)" in out
    log = next(line.removeprefix("  log: ") for line in out.splitlines() if line.startswith("  log: "))
    assert Path(log).read_text().splitlines()[-1] == "asleep"
    assert "After" not in out
    (account.root / "healed").touch()
    retried = verb("retry", *TASK)
    out, err = retried.communicate(timeout=MAX_WAIT_SECONDS)
    assert retried.returncode == 0, err
    assert out.splitlines()[-1] == "execution Succeeded"
    assert (ran(account, "before"), ran(account, "after")) == ("x", "x")


def test_stop_ends_the_processes_and_the_state_can_be_read(account, three, here):
    """The job would sleep for longer than the test waits."""
    (leader,) = account.leaders()
    stopped = here("stop", *TASK)
    assert (stopped.code, stopped.out.splitlines()[-1]) == (0, "execution Stopped")
    assert not account.lives(leader)
    until(lambda: not account.processes(), "the end of every process")
    watched = here("watch", *TASK)
    assert (watched.code, watched.out.splitlines()[-1]) == (3, "execution Stopped")
    shown = json.loads(here("show", *TASK, "--json").out)
    assert {step["step"]: step["status"] for step in shown["steps"]} == {"Before": "Succeeded", "Dies": "Stopped"}
    again = here("stop", *TASK)
    assert (again.code, "has ended already: Stopped" in again.err) == (2, True)
    (account.root / "healed").touch()
    assert here("retry", *TASK).code == 0
    assert (ran(account, "before"), ran(account, "after")) == ("x", "x")


def test_a_runner_killed_is_noticed_and_the_execution_retried(account, three, here):
    (leader,) = account.leaders()
    (runner,) = account.runners()
    os.kill(runner, signal.SIGKILL)
    watched = here("watch", *TASK)
    assert watched.code == 1
    assert "Dies failed: the local runner died" in watched.out
    until(lambda: not account.lives(leader), "the end of the job")
    job = account.job(account.steps(three)["Dies"])
    assert (job["ProcessingJobStatus"], "runner died" in job["FailureReason"]) == ("Failed", True)
    (account.root / "healed").touch()
    assert here("retry", *TASK).code == 0
    assert (ran(account, "before"), ran(account, "after")) == ("x", "x")


def test_attempts_under_a_retry_policy_are_shown(account, make, here):
    account.pipeline(make.processing("Clogs", "clog", RetryPolicies=[INTERNAL], environment={"TIMES": "2"}), name=PIPELINE)
    done = here("start", *TASK)
    assert done.code == 0
    assert any(line.startswith("Clogs: Succeeded (attempt 3) after ") for line in done.out.splitlines())
    assert json.loads(here("show", *TASK, "--json").out)["steps"][0]["attempts"] == 3


def test_logs_are_followed_from_before_the_step_starts_until_it_has_ended(account, make, here):
    account.pipeline(
        make.processing("Waits", "talk", environment={"LINES": "1"}),
        make.processing("Talks", "talk", inputs={"data": make.get("Waits")}, environment={"LINES": "3"}),
        name=PIPELINE,
    )
    account.start(PIPELINE)
    following = verb("logs", "Talks", "--follow", *TASK)
    first = following.stdout.readline()
    assert first == "line 0\n"
    assert following.poll() is None, "it was shown before the job had ended"
    (account.root / "go").touch()
    out, err = following.communicate(timeout=MAX_WAIT_SECONDS)
    assert following.returncode == 0, err
    assert out == "line 1\nline 2 without an end\n"
    assert here("logs", "Talks", *TASK).out == first + out
    assert "error: Nobody is not a valid step of the execution: it has Waits, Talks" in here("logs", "Nobody", *TASK).err


def test_whoever_follows_sees_how_far_a_step_is(account, make):
    """Two hosts, which go on when what they said was seen."""
    account.pipeline(make.processing("Slides", "slides", hosts=2, outputs=()), name=PIPELINE)
    arn, session, seen = account.start(PIPELINE), open_session(LOCAL), []
    for state in Watched(session).states(poll_states(session, arn)):
        said = next((str(step.progress) for step in state.steps if step.progress), None)
        if said not in (None, *seen):
            seen.append(said)
        if said in ("0 of 2 slides", "2 of 2 slides"):
            (account.root / ("go-0" if said[0] == "0" else "go-1")).touch()
            (account.root / "go-2").touch()
    assert (state.status, seen[0], seen[-1]) == ("Succeeded", "0 of 2 slides", "2 of 2 slides")


def test_the_log_of_an_execution_is_asked_for_as_by_the_other_verbs(fresh, here):
    _, first, arn = fresh("copied")
    log = Path(next(step["log"] for step in json.loads(here("show", first, "--json").out)["steps"] if step["step"] == "Train"))
    log.write_text("of the first\n")
    for given, said in (
        (first, "of the first\n"),
        (first.rpartition("/")[2], "of the first\n"),
        ("latest", "Training Loss: 0.5\n"),
    ):
        assert here("logs", given, "Train", *TASK).out == said
    for words, why in (
        ((), "Missing argument"),
        (("a", "b", "Train"), "a b Train: give an execution, or none for the latest, and one step"),
        ((first,), "is not a valid step of the execution: it has First, Train"),
        (("nowhere", "Train"), "has no execution"),
        (("Train", "--execution", arn), "No such option: --execution"),
    ):
        done = here("logs", *words, *TASK)
        assert (done.code, why in done.err.splitlines()[-1]) == (2, True), done.err


def test_each_host_is_named_in_a_log_of_several(account, make, here):
    account.pipeline(make.processing("Hosts", "host", hosts=2), name=PIPELINE)
    here("start", *TASK)
    assert here("logs", "Hosts", *TASK).out == "algo-1 | I am algo-1\nalgo-2 | I am algo-2\n"
    lines = [json.loads(line) for line in here("logs", "Hosts", *TASK, "--json").out.splitlines()]
    assert [line["host"] for line in lines] == ["algo-1", "algo-2"]


def test_a_step_without_a_job_or_not_reached_has_no_log_and_says_why(account, make, here):
    fail = {"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "not today"}}
    account.pipeline(fail, make.processing("After", "once", DependsOn=["No"], environment={"WHO": "after"}), name=PIPELINE)
    failed = here("start", *TASK)
    assert (failed.code, failed.out.splitlines()[-2:]) == (1, ["No failed: not today", "execution Failed"])
    assert "No ran no job in execution" in here("logs", "No", *TASK).err
    for more in ((), ("--follow",)):
        silent = here("logs", "After", *TASK, *more)
        assert (silent.code, "After has not started in execution" in silent.err) == (2, True)


def test_start_by_name_token_and_file(account, make, here, tmp_path):
    parameters = [
        {"Name": "Score", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Word", "Type": "String", "DefaultValue": "a"},
    ]
    account.pipeline(make.processing("First", "write"), name=PIPELINE, parameters=parameters)
    (tmp_path / "values.yaml").write_text("Score: 0.25\nWord: b\n")
    arguments = (*TASK, "--no-wait", "--params-file", str(tmp_path / "values.yaml"), "--param", "Word=c")
    first = here("start", *arguments, "--name", "mine", "--token", "tonight", "--parallelism", "2")
    second = here("start", *arguments, "--name", "mine", "--token", "tonight")
    other = here("start", *arguments, "--token", "tomorrow")
    assert first.out == second.out != other.out
    until(lambda: all(item["status"] == "Succeeded" for item in json.loads(here("executions", *TASK, "--json").out)))
    listed = json.loads(here("executions", *TASK, "--json").out)
    assert [item["name"] for item in listed][1:] == ["mine"]
    identity = listed[1]["id"]
    shown = json.loads(here("show", identity, *TASK, "--json").out)
    assert shown["parameters"] == [
        {"name": "Score", "value": "0.25", "given": True},
        {"name": "Word", "value": "c", "given": True},
    ]
    assert account.client.describe_pipeline_execution(PipelineExecutionArn=shown["arn"])["ParallelismConfiguration"] == {
        "MaxParallelExecutionSteps": 2
    }
    before = len(listed)
    for wrong in ("--name=my_run", "--param=Score=many", "--param=Scor=1", "--source=x"):
        refused = here("start", *TASK, wrong)
        assert (refused.code, refused.out) == (2, "")
    assert len(json.loads(here("executions", *TASK, "--json").out)) == before


def test_another_start_takes_over_what_an_execution_had(account, make, here):
    """Its defaults too: those of the pipeline may be others by now."""

    def deploy(*words, score=0.5):
        (account.root / "pipelines" / f"{PIPELINE}.json").unlink(missing_ok=True)
        parameters = [{"Name": name, "Type": "String", "DefaultValue": value} for name, value in words]
        account.pipeline(
            make.processing("First", "write"),
            name=PIPELINE,
            parameters=[*parameters, {"Name": "Score", "Type": "Float", "DefaultValue": score}],
        )

    def started(*options):
        done = here("start", *TASK, "--no-wait", *options)
        answer = here("show", *TASK, "--json")
        assert answer.code == 0, answer.err
        shown = json.loads(answer.out)
        return {item["name"]: item["value"] for item in shown["parameters"]}, done

    deploy(("Word", "a"), ("Gone", "g"))
    first = here("start", *TASK, "--param=Score=0.25", "--param=Gone=x").out.split()[1]
    deploy(("Word", "b"), ("New", "n"), score=0.75)
    assert started()[0] == {"Word": "b", "New": "n", "Score": "0.75"}
    for named in (first, first.rpartition("/")[2]):
        values, done = started("--like", named)
        assert values == {"Word": "a", "New": "n", "Score": "0.25"}
        assert f"execution {first.rpartition('/')[2]} had Gone=x, which the pipeline has no more" in done.err
    assert started("--like", "latest", "--param", "Word=c")[0] == {**values, "Word": "c"}
    assert started("--like", "latest")[0]["Word"] == "c"
    before = len(json.loads(here("executions", *TASK, "--json").out))
    elsewhere = first.replace(PIPELINE, "pathology-mhist")
    for options, message in (
        (("--like", "nobodyhasit1"), "has no execution"),
        (("--like", elsewhere), f"it is not an execution of {PIPELINE}"),
        (("--like", first, "--only", "First"), "with --only, parameters are those of --source"),
    ):
        refused = here("start", *TASK, *options)
        assert (refused.code, message in refused.err) == (2, True), refused.err
    assert len(json.loads(here("executions", *TASK, "--json").out)) == before


def test_delete_asks_first_spares_running_executions_and_keeps_what_they_made(account, three, here):
    asked = here("delete", *TASK)
    assert (asked.code, "say --yes" in asked.err) == (2, True)
    busy = here("delete", *TASK, "--yes")
    assert (busy.code, "has running executions" in busy.err) == (2, True)
    here("stop", *TASK)
    outputs = list((account.root / "s3").rglob("value.json"))
    assert here("delete", *TASK, "--yes").code == 0
    assert "has no pipeline pathology-msi" in here("executions", *TASK).err
    assert outputs
    assert all(path.is_file() for path in outputs)
    assert here("watch", three).code == 3, "by its ARN it can still be looked at"


def test_tables_fit_80_columns_however_long_the_words(account, make, here):
    from rich.console import Console

    from pipelines.service.executions import get_state
    from pipelines.tables import steps_table

    long = "A" * 64
    account.pipeline(make.processing(long, "fail"), name=PIPELINE)
    here("start", *TASK, "--name", "n" * 82)
    state = get_state(open_session(LOCAL), json.loads(here("executions", *TASK, "--json").out)[0]["arn"])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(steps_table(state.steps))
    text = console.export_text() + here("executions", *TASK).out
    assert max(map(len, text.splitlines())) <= 80
    assert text.replace("\n", "").replace(" ", "").count("A") >= 64, "no name is cut off"
    assert text.count("Failed") == 2


READING = {
    "executions": (*TASK, "--json"),
    "show": (*TASK, "--json"),
    "watch": (*TASK, "--json"),
    "logs": ("First", *TASK, "--json"),
    "metrics": (*TASK, "--json"),
}


def test_reading_verbs_stopping_and_starting_do_without_the_sdk(account, make):
    """Whole runs, not only --help: 5 s of import for an answer of 0.3 s would be felt at every call."""
    account.pipeline(make.processing("First", "evaluate", outputs=("evaluation",)), name=PIPELINE)
    calls = {"start": (*TASK,), **READING, "stop": (*TASK,), "retry": (*TASK,), "delete": (*TASK,)}
    script = (
        "import importlib, sys\n"
        "from pipelines.cli import run\n"
        f"for verb, arguments in {calls!r}.items():\n"
        "    sys.argv = [verb, *arguments]\n"
        "    try:\n        run(getattr(importlib.import_module(f'pipelines.{verb}'), verb))\n"
        "    except SystemExit as end:\n        print(verb, end.code, sorted({'sagemaker', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    codes = dict.fromkeys(calls, 0) | {"stop": 2, "retry": 2, "delete": 2}
    ended = [line for line in done.stdout.splitlines() if line.endswith("[]")]
    assert [line for line in ended if line.split()[0] in calls] == [f"{verb} {code} []" for verb, code in codes.items()]


def test_every_verb_that_reads_an_execution_answers_json(account, make, here):
    account.pipeline(make.processing("First", "evaluate", outputs=("evaluation",)), name=PIPELINE)
    assert here("start", *TASK).code == 0
    answers = {verb: here(verb, *arguments) for verb, arguments in READING.items()}
    assert {answer.code for answer in answers.values()} == {0}
    evaluation = json.loads(answers["metrics"].out)
    assert evaluation["pathology"]["n"] == 7
    shown = json.loads(answers["show"].out)
    assert shown["outputs"]["First"]["evaluation"].startswith("s3://local/runs/")
    assert shown["evaluation"] == evaluation
    assert json.loads(answers["logs"].out)["message"] == "scored"
    assert json.loads(answers["watch"].out)["status"] == "Succeeded"


def test_metrics_is_a_table_with_intervals(account, make, here):
    account.pipeline(make.processing("First", "evaluate", outputs=("evaluation",)), name=PIPELINE)
    here("start", *TASK)
    lines = here("metrics", *TASK).out.splitlines()
    assert lines[0].split() == ["Score", "Value", "SD", "95%", "interval"]
    assert ["AUROC", "0.900", "0.050", "0.800", "to", "0.970"] in [line.split() for line in lines]
    assert "n = 7, 3 of them positive; threshold 0.500" in lines
    assert "warning: few patients" in lines
    gone = Uri.parse(json.loads(here("show", *TASK, "--json").out)["outputs"]["First"]["evaluation"] + "/evaluation.json")
    gone.under(account.root).unlink()
    missing = here("metrics", *TASK)
    assert (missing.code, f"{gone}: there is no such object" in missing.err) == (1, True)


def test_an_execution_without_an_evaluation_says_so(account, make, here):
    account.pipeline(make.processing("Bad", "fail"), name=PIPELINE)
    here("start", *TASK)
    none = here("metrics", *TASK)
    assert (none.code, "has no evaluation" in none.err) == (1, True)


@pytest.mark.parametrize(
    "name", ["start", pytest.param("watch", marks=pytest.mark.slow), pytest.param("logs", marks=pytest.mark.slow)]
)
def test_ctrl_c_says_what_goes_on_and_how_to_watch_and_end_it(account, make, here, name):
    account.pipeline(make.processing("Sleeps", "sleep_once"), name=PIPELINE)
    if name != "start":
        account.start(PIPELINE)
        account.asleep()
    following = verb(name, *(("Sleeps", "--follow") if name == "logs" else ()), *TASK)
    following.stdout.readline()  # it follows
    account.asleep()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=MAX_WAIT_SECONDS)
    (execution,) = json.loads(here("executions", *TASK, "--json").out)
    arn = execution["arn"]
    assert (following.returncode, execution["status"]) == (130, "Executing")
    said = err.splitlines()[1:] if name != "start" else err.splitlines()[-1:]  # what a start says first goes before
    assert said == [
        f"interrupted; execution {execution['id']} goes on on this machine: "
        f"watch it with python -m pipelines.watch {arn}, end it with python -m pipelines.stop {arn}"
    ]
    assert here("stop", arn).code == 0
    until(lambda: not account.processes(), "the runner's end, a moment after it said so")
