"""Claims: largest first, each slide to one host, seen by listing, resumed by the host that made them."""

import json
import threading

import boto3
import pytest
from pathology.contracts.cohort import CohortRow
from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore, S3Store
from pathology.wsi.claims import IN_PROGRESS, WorkQueue, largest_first
from pathology.wsi.layout import FeatureLayout

LAYOUT = FeatureLayout.of("s3://bucket/features", "0123456789abcdef")
CLAIMS = LAYOUT.root / "claims" / "job"


def cohort(count: int, size=lambda number: 100) -> list[CohortRow]:
    return [
        CohortRow(
            slide_id=f"s{number:03}", patient_id=f"P{number}", site="", slide_uri=f"s3://bucket/s{number:03}.svs",
            bytes=size(number), md5="", mpp=None, label=0, split="test", fold=None,
        )
        for number in range(count)
    ]  # fmt: skip


class Counting(FolderStore):
    """A folder that keeps count of what is asked of it."""

    def __init__(self, root):
        super().__init__(root)
        object.__setattr__(self, "asked", [])

    def create(self, uri, content):
        self.asked.append(("create", uri.name))
        return super().create(uri, content)

    def read(self, uri):
        self.asked.append(("read", uri.name))
        return super().read(uri)

    def list(self, uri):
        self.asked.append(("list", uri.name))
        return super().list(uri)

    def names(self, kind):
        return [name for asked, name in self.asked if asked == kind]


@pytest.fixture
def store(tmp_path):
    return Counting(tmp_path)


def queue_of(store, rows, host="algo-1", *, rank=0, hosts=1, finished=()):
    return WorkQueue(store, CLAIMS, rows, lambda row: row.slide_id in finished, host=host, rank=rank, hosts=hosts)


def take_all(host: WorkQueue) -> list[str]:
    return [row.slide_id for row in iter(host.take, None)]


def test_largest_first_and_claims_lie_where_the_layout_says(store):
    rows = cohort(6, lambda number: (number // 2) * 50)
    assert take_all(queue_of(store, rows)) == ["s004", "s005", "s002", "s003", "s000", "s001"]
    assert sorted(rows, key=largest_first)[0].slide_id == "s004"
    assert all(store.read(LAYOUT.claims("job") / row.slide_id) == b"algo-1" for row in rows)


def test_what_others_took_is_left_without_a_try(store):
    rows = cohort(20)
    for row in rows[:15]:
        store.create(LAYOUT.claims("job") / row.slide_id, b"algo-2")
    store.asked.clear()
    assert take_all(queue_of(store, rows, hosts=2)) == [f"s{number:03}" for number in range(15, 20)]
    assert store.names("create") == [f"s{number:03}" for number in range(15, 20)]
    assert len(store.names("list")) == 6  # one for each slide, and the one that finds nothing


def test_hosts_that_start_at_once_begin_at_slides_of_their_own(store):
    rows = cohort(20)
    hosts = [queue_of(store, rows, f"algo-{rank + 1}", rank=rank, hosts=4) for rank in range(4)]
    for host in hosts:
        host._refresh = lambda: None  # all of them saw an empty listing
    assert [host.take().slide_id for host in hosts] == ["s000", "s001", "s002", "s003"]
    assert store.names("create") == ["s000", "s001", "s002", "s003"]


def test_a_host_with_an_old_listing_finds_its_slide_in_few_tries(store):
    rows = cohort(300)
    host = queue_of(store, rows, "algo-64", rank=63, hosts=64)
    assert host.take().slide_id == "s063"
    for row in rows[:200]:
        store.create(LAYOUT.claims("job") / row.slide_id, b"algo-1")
    refresh = host._refresh

    def old_listing():
        host._refresh = refresh  # only the first listing is from before all that

    host._refresh = old_listing
    store.asked.clear()
    row = host.take()
    assert row is not None and store.read(LAYOUT.claims("job") / row.slide_id) == b"algo-64"
    assert len(store.names("create")) <= 6
    assert {row.slide_id, *take_all(host)} == {f"s{number:03}" for number in range(200, 300)}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_hosts_that_claim_at_once_take_every_slide_once(kind, tmp_path):
    from moto import mock_aws

    rows = cohort(40, lambda number: 1000 - number)
    taken: dict[str, list[str]] = {}
    barrier = threading.Barrier(3)

    def host(rank: int, store) -> None:
        queue = queue_of(store, rows, f"algo-{rank + 1}", rank=rank, hosts=3)
        barrier.wait()
        taken[queue.host] = take_all(queue)

    def run(store) -> None:
        threads = [threading.Thread(target=host, args=(rank, store)) for rank in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(600)
        assert sorted(name for names in taken.values() for name in names) == [row.slide_id for row in rows]
        for name, slides in taken.items():
            assert all(store.read(LAYOUT.claims("job") / slide) == name.encode() for slide in slides)

    if kind == "folder":
        run(FolderStore(tmp_path))
        return
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        # moto looks whether the object is there and then writes it; S3 does both at once, which is what claims rest on.
        put, one_at_a_time = client.put_object, threading.Lock()

        def put_object(**request):
            with one_at_a_time:
                return put(**request)

        client.put_object = put_object
        run(S3Store(client))


def test_a_host_started_again_takes_up_what_it_had_in_progress_first_and_nothing_else(store):
    rows = cohort(30, lambda number: 1000 - number)
    other, host = queue_of(store, rows, "algo-2", rank=1, hosts=2), queue_of(store, rows, hosts=2)
    assert [other.take().slide_id, host.take().slide_id, host.take().slide_id] == ["s001", "s000", "s002"]
    assert host.take().slide_id == "s003"  # s002 in progress, s003 prefetched: killed here
    store.asked.clear()
    again = queue_of(store, rows, hosts=2, finished={"s000"})
    assert [again.take().slide_id, again.take().slide_id] == ["s002", "s003"]
    assert store.names("create") == [] and store.names("read") == ["algo-1", "s002", "s003"]
    assert again.done_before_restart == 1 and again.skipped == 0
    assert take_all(again) == [f"s{number:03}" for number in range(4, 30)]
    assert take_all(other) == []


def test_what_was_finished_just_before_the_kill_is_not_done_again(store):
    rows = cohort(3)
    assert queue_of(store, rows).take().slide_id == "s000"
    again = queue_of(store, rows, finished={"s000"})
    assert take_all(again) == ["s001", "s002"]
    assert (again.done_before_restart, again.skipped, again.taken) == (0, 1, 2)


def test_killed_between_its_note_and_its_claim_a_host_takes_nothing_of_another(store):
    rows = cohort(2)
    store.write(CLAIMS / IN_PROGRESS / "algo-1", json.dumps({"in_hand": ["s000", "s001"], "done": 0}).encode())
    store.create(LAYOUT.claims("job") / "s000", b"algo-2")
    assert take_all(queue_of(store, rows, hosts=2)) == ["s001"]


def test_a_claim_whose_answer_was_lost_is_this_hosts(store, monkeypatch):
    def create(uri, content):
        FolderStore.create(store, uri, content)
        return False

    monkeypatch.setattr(Counting, "create", lambda self, uri, content: create(uri, content))
    assert take_all(queue_of(store, cohort(3))) == ["s000", "s001", "s002"]


def test_creates_that_conflict_are_tried_again_and_not_for_ever(store, monkeypatch):
    answers = iter([False, False, True])
    monkeypatch.setattr(Counting, "create", lambda *_: next(answers))
    host = queue_of(store, cohort(2))
    assert host.take().slide_id == "s000"
    monkeypatch.setattr(Counting, "create", lambda *_: False)
    with pytest.raises(DataError, match="claims/job/s001: it cannot be created"):
        host.take()


def test_the_largest_slide_left_is_told_without_a_request(store):
    host = queue_of(store, cohort(3, lambda number: 100 + number))
    assert host.largest == 102
    assert host.take().slide_id == "s002"
    store.asked.clear()
    assert host.largest == 101 and not store.asked
    assert take_all(host) == ["s001", "s000"] and host.largest == 0


def test_ten_slides_added_to_a_finished_cohort_cost_ten(store):
    rows = cohort(60, lambda number: 100 + number % 7)
    finished = {row.slide_id for row in rows[:50]}
    hosts = [queue_of(store, rows, f"algo-{rank + 1}", rank=rank, hosts=2, finished=finished) for rank in range(2)]
    taken = [name for host in hosts for name in take_all(host)]
    assert sorted(taken) == [f"s{number:03}" for number in range(50, 60)]
    assert sum(host.skipped for host in hosts) == 50 and sum(host.taken for host in hosts) == 10
