"""Statistics are exact, and what is compared takes turns."""

import statistics
from contextlib import contextmanager

import numpy as np
import pytest

from genn_delays.benchmarks.subjects import Watch
from genn_delays.benchmarks.timing import Summary, interleaved, seconds_of


class FakeClock:
    """Says the times that it was given, one a call."""

    def __init__(self, *times):
        self.times = list(times)

    def __call__(self):
        return self.times.pop(0)


def test_summary_of_known_times():
    found = Summary((4.0, 1.0, 3.0, 2.0, 5.0))
    assert (found.median, found.quartiles, found.best) == (3.0, (2.0, 4.0), 1.0)
    assert found.tables() == {
        "median": 3.0, "lower_quartile": 2.0, "upper_quartile": 4.0, "best": 1.0, "worst": 5.0, "repeats": 5,
        "all": [4.0, 1.0, 3.0, 2.0, 5.0],
    }  # fmt: skip


def test_summary_of_one_time():
    assert Summary((0.5,)).quartiles == (0.5, 0.5)
    assert Summary((0.5,)).median == 0.5


@pytest.mark.parametrize("count", [2, 3, 4, 7, 50])
def test_summary_is_numpys(count):
    seconds = np.random.default_rng(count).random(count)
    found = Summary(tuple(seconds.tolist()))
    np.testing.assert_allclose([found.median, *found.quartiles], np.percentile(seconds, [50, 25, 75]), rtol=1e-12)
    assert found.median == statistics.median(seconds.tolist())


def test_seconds_of_reads_the_clock_before_and_after():
    done = []
    assert seconds_of(lambda: done.append(1), FakeClock(10.0, 12.5)) == 2.5
    assert done == [1]


def test_what_is_compared_takes_turns():
    order = []

    @contextmanager
    def opened(name, seconds):
        order.append(f"open {name}")
        yield lambda: order.append(name) or [seconds, 2 * seconds]
        order.append(f"close {name}")

    told = []
    found = interleaved({"a": lambda: opened("a", 1.0), "b": lambda: opened("b", 3.0)}, 2, warm_up=1, told=told.append)
    assert order == ["open a", "open b", "a", "b", "a", "b", "a", "b", "close b", "close a"]
    assert found["a"].seconds == (1.0, 2.0, 1.0, 2.0)  # the first samples are warm-up
    assert found["b"].seconds == (3.0, 6.0, 3.0, 6.0)
    assert told == ["round 1 of 2", "round 2 of 2"]


def test_many_rounds_are_told_of_in_few_lines():
    @contextmanager
    def opened():
        yield lambda: [1.0]

    told = []
    interleaved({"a": opened}, 1000, told=told.append)
    assert told == [f"round {n} of 1000" for n in range(1, 1001, 100)]


def test_everything_is_closed_after_an_error():
    closed = []

    @contextmanager
    def opened(name):
        try:
            yield lambda: 1 / 0
        finally:
            closed.append(name)

    with pytest.raises(ZeroDivisionError):
        interleaved({"a": lambda: opened("a"), "b": lambda: opened("b")}, 1)
    assert closed == ["b", "a"]


def test_watch_times_a_whole_epoch_and_a_whole_evaluation():
    class Network:
        stop_training = False

    watch = Watch(FakeClock(1.0, 4.0, 10.0, 10.5))
    watch.set_params(Network(), 1, 1)
    watch.on_epoch_begin(0)
    watch.on_epoch_end(0, None)
    assert watch.seconds == 3.0
    assert watch.compiled_network.stop_training  # one epoch is a sample, whatever the number of epochs
    watch.on_test_begin()
    watch.on_test_end(None)
    assert watch.seconds == 0.5
