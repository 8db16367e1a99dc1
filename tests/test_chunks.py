"""Long arrays are worked on in chunks, by several threads or one, to the same result."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from genn_delays import Dense, FixedNumber, FixedProbability, Normal, UniformInt, chunks
from genn_delays.chunks import in_chunks
from genn_delays.errors import InvalidValueError
from genn_delays.random import Purpose, sample_distinct


@pytest.mark.parametrize("threads", [1, 3, None])
@pytest.mark.parametrize("count", [0, 1, 10, 11, 205])
def test_every_element_is_worked_on_once(count, threads, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 10)
    seen = np.zeros(count, int)

    def work(first: int, last: int) -> None:
        assert 0 < last - first <= 10
        seen[first:last] += 1

    before = threading.active_count()
    in_chunks(count, work, threads)
    assert (seen == 1).all()
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_no_thread_stays(threads, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 10)

    def work(first: int, last: int) -> None:
        if first >= 50:
            raise ValueError(str(first))

    before = threading.active_count()
    with pytest.raises(ValueError, match=r"^50$"):
        in_chunks(1000, work, threads)
    assert threading.active_count() == before


CONNECTIVITIES = [
    Dense(delay=UniformInt(0, 9)),
    FixedNumber(sparsity=0.4, weight=Normal(0.1, 2.0), delay=UniformInt(0, 9)),
    FixedNumber(sparsity=0.9, delay=3),
    FixedProbability(p=0.2, weight=1.0, delay=UniformInt(2, 70)),
    FixedNumber(sparsity=0.7, delay=UniformInt(0, 4), kernel_count=3, distinct_delays=True),
    Dense(delay=UniformInt(0, 4), kernel_count=2),
]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES, ids=repr)
def test_synapses_do_not_depend_on_chunks(connectivity, threads, monkeypatch):
    whole = connectivity.sample(37, 29, 5, 2)
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "_processors", lambda: threads)
    for found, wanted in zip(connectivity.sample(37, 29, 5, 2), whole, strict=True):
        assert found.dtype == wanted.dtype
        assert found.tobytes() == wanted.tobytes()


def test_a_weight_that_is_no_number_is_named_whatever_the_chunk(monkeypatch):
    """The first one of all."""
    connectivity = Dense(weight=Normal(0.0, 1.2e38))
    with pytest.raises(InvalidValueError, match="finite in single precision") as whole:
        connectivity.sample(80, 40, 0, 0)
    monkeypatch.setattr(chunks, "CHUNK", 50)
    monkeypatch.setattr(chunks, "_processors", lambda: 3)
    with pytest.raises(InvalidValueError) as parts:
        connectivity.sample(80, 40, 0, 0)
    assert str(parts.value) == str(whole.value)


@pytest.mark.parametrize("total", [1000, 2**32, 2**32 + 1, 2**40])
def test_choices_do_not_depend_on_chunks(total, monkeypatch):
    """Numbers below 2^32 are kept in 4 bytes meanwhile; few of many and nearly half of few."""
    for count in (1, 40, 490):
        whole = sample_distinct(count, total, 3, Purpose.CONNECTIVITY, 1)
        with monkeypatch.context() as patch:
            patch.setattr(chunks, "CHUNK", 7)
            assert np.array_equal(sample_distinct(count, total, 3, Purpose.CONNECTIVITY, 1), whole)
        assert whole.dtype == np.int64 and np.unique(whole).size == count and whole.max() < total
