"""How far running steps are, out of their logs: what is summed, what a poll costs, and that a log that cannot be read stops nobody."""

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.log_lines import TRAINING_LOSS, epoch_line, fold_line, metric_line, slide_line, slides_done_line

from pipelines.service.executions import Progress
from pipelines.service.following import _print_lines
from pipelines.service.job_logs import JobLog, SampledLog
from pipelines.service.progress import Said, Watched
from pipelines.service.session import Session
from tests.pipelines.service.test_following import JOB, state, step

RUNNING = state("Executing", step("ExtractFeatures", "Executing"))


class Logs:
    """Streams by name, each with what every page of it says; the calls that were made."""

    def __init__(self, **streams):
        self.streams, self.calls = {f"x/{name.replace('_', '-')}": pages for name, pages in streams.items()}, []

    def describe_log_streams(self, **_):
        self.calls.append("list")
        return {"logStreams": [{"logStreamName": name} for name in self.streams]}

    def get_log_events(self, *, logStreamName, nextToken="0", **_):
        self.calls.append(logStreamName)
        pages, page = self.streams[logStreamName], int(nextToken)
        lines = pages[page] if page < len(pages) else []
        return {"events": [{"message": line} for line in lines], "nextForwardToken": str(min(page + 1, len(pages)))}


def heard(*lines):
    said = Said()
    for host, line in lines:
        said.hear(host, line)
    return said.progress


def test_slides_are_summed_over_hosts_and_workers_and_a_restart_counts_nothing_twice():
    assert heard(("algo-1", "encoder x on the CPU"), ("algo-1", slide_line(1, "s"))) is None
    found = heard(
        ("algo-1", slides_done_line(0, 83)),
        ("algo-1", slides_done_line(7, 83)),
        ("algo-1", slides_done_line(5, 83)),  # it started again, and its note is older than its last line
        ("algo-2", f"worker 1: {slides_done_line(2, 83)}"),
        ("algo-2", f"worker 2: {slides_done_line(3, 83)}"),
    )
    assert (str(found), found.fraction) == ("10 of 83 slides", 10 / 83)


def test_folds_and_epochs_as_training_prints_them():
    begun = heard(("algo-1", fold_line(2, 5)))
    assert (str(begun), begun.fraction) == ("fold 2 of 5", pytest.approx(0.2))
    lines = [fold_line(1, 5), epoch_line(20, 20), fold_line(2, 5), epoch_line(10, 20), metric_line(TRAINING_LOSS, 0.5)]
    found = heard(*(("algo-1", line) for line in lines))
    assert (str(found), found.fraction) == ("fold 2 of 5, epoch 10 of 20", pytest.approx(0.3))
    alone = heard(("algo-1", epoch_line(3, 20)))
    assert (str(alone), alone.fraction) == ("epoch 3 of 20", 0.15)


@pytest.mark.parametrize(
    "line",
    ["Slides done: many of 83", "slides done: 3 of 83", "Slides done: 3 of 83, and more", "Epoch 3", "x Training fold 1 of 5"],
)
def test_a_line_that_only_looks_like_it_says_nothing(line):
    assert heard(("algo-1", line)) is None


def test_a_poll_is_one_call_and_hosts_take_turns(example):
    logs = Logs(algo_1_17=[[slides_done_line(1, 9)], [slides_done_line(2, 9)]], algo_2_17=[[slides_done_line(4, 9)]])
    log, said = SampledLog(JobLog(Session(example, None, None, logs), JOB)), Said()
    for polls in range(1, 9):
        for event in log.next_events():
            said.hear(event["host"], event["message"])
        assert len(logs.calls) == polls
    assert said.progress == Progress(slides=(6, 9))
    logs.streams["x/algo-1-18"] = [[slides_done_line(3, 9)]]  # a host that starts again gets another stream
    for _ in range(8):
        for event in log.next_events():
            said.hear(event["host"], event["message"])
    assert said.progress == Progress(slides=(7, 9))


def refusing(code):
    def refuse(**_):
        raise ClientError({"Error": {"Code": code, "Message": f"{code}, it said"}}, "GetLogEvents")

    return refuse


@pytest.mark.parametrize(
    ("code", "complaints"), [("AccessDeniedException", 1), ("ResourceNotFoundException", 0), ("ThrottlingException", 0)]
)
def test_a_log_that_cannot_be_read_is_said_once_and_following_goes_on(example, capsys, code, complaints):
    logs = Logs(algo_1_17=[[]])
    logs.describe_log_streams = refusing(code)
    followed = list(Watched(Session(example, None, None, logs)).states(iter([RUNNING] * 5)))
    assert [one.steps[0].progress for one in followed] == [None] * 5
    err = capsys.readouterr().err
    assert err.count("how far ExtractFeatures is cannot be read in its log: ") == err.count("\n") == complaints


def test_steps_that_do_not_run_are_not_asked(example):
    logs = Logs(algo_1_17=[[slides_done_line(1, 9)]])
    still = state("Executing", step("PrepareMsi", "Succeeded"), step("CheckMsi", "Executing", job=None))
    assert list(Watched(Session(example, None, None, logs)).states(iter([still, still]))) == [still, still]
    assert logs.calls == []


def test_without_a_terminal_a_line_is_printed_for_every_tenth(capsys):
    def running(done):
        return state("Executing", step("ExtractFeatures", "Executing", progress=Progress(slides=(done, 200))))

    _print_lines(iter([*(running(done) for done in range(61)), state("Succeeded", step("ExtractFeatures", "Succeeded"))]))
    assert capsys.readouterr().out.splitlines() == [
        "ExtractFeatures: Executing",
        *(f"ExtractFeatures: {done} of 200 slides" for done in (20, 40, 60)),
        "ExtractFeatures: Succeeded after 12.3 s",
    ]
