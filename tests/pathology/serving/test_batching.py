"""The batcher by itself, where the order of things can be told exactly."""

import asyncio
import selectors
import threading

import pytest
from pathology.contracts.errors import DataError
from pathology.serving import batching
from pathology.serving.batching import Answer, Batcher, OverloadedError


class Clock(selectors.DefaultSelector):
    """For a loop whose time passes only when it has nothing to do, and then at once to its next timer."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(timeout and 0)
        if timeout and not ready:
            self.now += timeout
        return ready


def loop_of_its_own_time():
    loop = asyncio.SelectorEventLoop(clock := Clock())
    loop.time = lambda: clock.now
    return loop


def run(predict, work, max_items=8, wait_ms=5.0, **in_bytes):
    """Run ``work(batcher)`` on a started batcher; what it gave, and the batcher."""

    async def main():
        batcher = Batcher(predict, max_items, wait_ms, **in_bytes)
        batcher.start()
        result = await work(batcher)
        await batcher.close()
        return result, batcher

    with asyncio.Runner(loop_factory=loop_of_its_own_time) as runner:
        return runner.run(main())


def together(items):
    async def work(batcher):
        return await asyncio.gather(*(batcher.submit(item) for item in items), return_exceptions=True)

    return work


def double(items):
    return [2 * item for item in items]


def test_what_comes_together_goes_together_up_to_max_items():
    answers, batcher = run(double, together(range(20)))
    assert answers == [Answer(2 * item, 8 if item < 16 else 4) for item in range(20)]
    assert batcher.sizes == {8: 2, 4: 1}


def waited(items, wait_ms):
    """How long items that come together wait for their answers where the model takes no time, in ms, and their batches."""

    async def work(batcher):
        loop = asyncio.get_running_loop()
        since = loop.time()
        await together(items)(batcher)
        return 1000 * (loop.time() - since)

    milliseconds, batcher = run(double, work, wait_ms=wait_ms)
    return milliseconds, batcher.sizes


def test_one_alone_waits_as_long_as_said():
    milliseconds, sizes = waited(range(1), wait_ms=20)
    assert milliseconds == pytest.approx(20)
    assert sizes == {1: 1}


def test_a_full_batch_does_not_wait():
    assert waited(range(8), wait_ms=5_000) == (0, {8: 1})


def test_while_the_model_works_the_next_batch_gathers_in_one_thread():
    threads, begun, go_on, working = set(), threading.Event(), threading.Event(), threading.Lock()

    def slow(items):
        threads.add(threading.current_thread().name)
        assert working.acquire(blocking=False), "one batch at a time"
        begun.set()
        assert go_on.wait(300)
        working.release()
        return items

    async def work(batcher):
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.to_thread(begun.wait, 300)
        others = asyncio.create_task(together(range(1, 6))(batcher))
        while batcher._queue.qsize() < 5:
            await asyncio.sleep(0)
        go_on.set()
        return [await first, *await others]

    answers, batcher = run(slow, work, wait_ms=1)
    assert [answer.value for answer in answers] == list(range(6))
    assert batcher.sizes == {1: 1, 5: 1}
    assert len(threads) == 1


def test_an_error_reaches_only_whose_it_is():
    def picky(items):
        if any(item == 3 for item in items):
            raise DataError("no threes")
        return double(items)

    answers, batcher = run(picky, together(range(6)))
    assert [type(answer) for answer in answers] == [Answer, Answer, Answer, DataError, Answer, Answer]
    assert [answer.value for answer in answers if isinstance(answer, Answer)] == [0, 2, 4, 8, 10]
    assert batcher.sizes == {6: 1, 1: 6}


def test_too_few_answers_are_nobodys_answer():
    answers, _ = run(lambda items: items[:-1], together(range(3)))
    assert [type(answer) for answer in answers] == [RuntimeError] * 3


def test_a_model_that_fails_on_everything_is_not_healthy_until_it_answers():
    broken = True

    def predict(items):
        if broken:
            raise RuntimeError("CUDA error")
        return items

    async def work(batcher):
        nonlocal broken
        states = [batcher.healthy]
        await together(range(4))(batcher)
        states.append(batcher.healthy)
        broken = False
        await batcher.submit(1)
        return [*states, batcher.healthy]

    healthy, batcher = run(predict, work)
    assert healthy == [True, False, True]
    assert not batcher.healthy  # closed


def test_wrong_data_says_nothing_about_the_model():
    def refuse(items):
        raise DataError("wrong")

    async def work(batcher):
        await together(range(10))(batcher)
        return batcher.healthy

    assert run(refuse, work)[0]


def test_who_went_away_is_not_computed():
    batches = []

    async def work(batcher):
        gone = asyncio.create_task(batcher.submit("gone"))
        stays = asyncio.create_task(batcher.submit("stays"))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert run(lambda items: batches.extend(items) or items, work, wait_ms=20)[0] == Answer("stays", 1)
    assert batches == ["stays"]


def test_closing_answers_all_that_wait():
    async def work(batcher):
        waiting = [asyncio.create_task(batcher.submit(item)) for item in range(9)]
        await asyncio.sleep(0)
        await batcher.close()
        return [task.result().value for task in waiting]

    assert run(double, work, max_items=2)[0] == list(range(0, 18, 2))


def test_beyond_the_queue_one_is_told_at_once(monkeypatch):
    monkeypatch.setattr(batching, "MAX_WAITING", 3)
    answers, _ = run(double, together(range(5)))
    assert [type(answer) for answer in answers] == [Answer] * 3 + [OverloadedError] * 2


@pytest.mark.parametrize("max_items", [1, 3])
def test_never_more_than_max_items(max_items):
    _, batcher = run(double, together(range(10)), max_items=max_items)
    assert max(batcher.sizes) == max_items


def in_bytes(sizes, max_bytes, max_items=8):
    """The items of each batch, every item as large as its number says."""
    batches = []

    def predict(items):
        batches.append(list(items))
        return items

    answers, _ = run(predict, together(sizes), max_items, size=lambda item: item, max_bytes=max_bytes)
    assert [answer.value for answer in answers] == list(sizes)
    return batches


def test_a_batch_ends_before_it_is_too_large_and_a_larger_item_goes_alone():
    assert in_bytes([3, 3, 3, 3], 10) == [[3, 3, 3], [3]]
    assert in_bytes([1, 20, 1, 20, 20], 10) == [[1], [20], [1], [20], [20]]
    assert in_bytes([5, 5, 5], 10) == [[5, 5], [5]]
    assert in_bytes([1] * 9, 10, max_items=4) == [[1] * 4, [1] * 4, [1]]


def test_more_than_may_be_held_is_told_at_once_and_the_first_never():
    batcher = Batcher(double, 8, 1.0, max_held=10)
    with batcher.holding(11), pytest.raises(OverloadedError), batcher.holding(1):
        pass
    with batcher.holding(6), batcher.holding(4), pytest.raises(OverloadedError), batcher.holding(1):
        pass
    assert batcher.held == 0
