"""Spikes at the door: one pass in chunks gives what a look at every event alone gives, in the memory that is kept."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from refused import refused

from genn_delays import Connection, Dense, LeakyIntegrate, Network, Population, SpikeInput
from genn_delays.training import events as events_module
from genn_delays.training.data import prepare_inputs
from genn_delays.training.events import chunk_steps, steps_of

NETWORK = Network()
with NETWORK:
    _spikes = Population(SpikeInput(), 50, "spikes")
    Connection(_spikes, Population(LeakyIntegrate(readout="sum_var"), 2, "two"), Dense())


def prepare(values, time_steps: int, dt: float):
    found, count = prepare_inputs(NETWORK, {"spikes": values}, time_steps, dt)
    assert count == len(values)
    return found[0]


def random_examples(random, count: int, time_steps: int, dt: float):
    """Examples of every length and type, some of them empty, some of times on the grid of steps."""
    examples = []
    for _ in range(count):
        size = int(random.choice([0, 1, 7, 200]))
        kind = random.choice(["f4", "f8", ">f4", "f2", "i4", "u2", "g"])
        limit = time_steps * dt
        times = np.where(random.random(size) < 0.5, random.integers(0, time_steps, size) * dt, random.random(size))
        times = np.minimum(times, 0.9 * limit).astype(kind)
        examples.append((times, random.integers(0, 50, size).astype(random.choice(["i8", "u1", ">i4", "u8"]))))
    return examples


@pytest.mark.parametrize("chunk", [1, 100, 10**6])
@pytest.mark.parametrize("dt", [1.0, 0.1, 0.3])
def test_chunks_give_what_single_events_give(chunk, dt, monkeypatch):
    monkeypatch.setattr(events_module, "CHUNK", chunk)
    for seed in range(5):
        examples = random_examples(np.random.default_rng(seed), 23, 40, dt)
        found = prepare(examples, 40, dt)
        assert found.neuron.dtype == found.step.dtype == np.int32
        for k, (time, neuron) in enumerate(examples):
            steps = np.minimum(steps_of(time, dt)[0], 39) if time.size else []
            wanted = sorted({(int(n), int(t)) for n, t in zip(neuron, steps, strict=True)})
            own = slice(int(found.start[k]), int(found.start[k + 1]))
            assert list(zip(found.neuron[own].tolist(), found.step[own].tolist(), strict=True)) == wanted


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", ">f4", "i4", "u8"])
def test_steps_of_a_chunk_are_those_of_its_times(kind):
    """On the grid of steps, one number beside it and anywhere: the largest time bounds how far rounding reaches."""
    random = np.random.default_rng(0)
    for dt in (1.0, 0.1, 0.3, 1 / 3, 1e-3):
        for steps in (1, 10, 1000):
            grid = (random.integers(0, steps, 300) * dt).astype(kind)
            with np.errstate(under="ignore"):
                beside = grid if grid.dtype.kind != "f" else np.nextafter(grid.astype(grid.dtype.newbyteorder("=")), 0)
            times = np.concatenate([grid, np.abs(beside), (random.random(300) * steps * dt)]).astype(kind)
            wanted, vague = steps_of(times, dt)
            if vague.any():
                with pytest.raises(events_module._FaultyError):
                    chunk_steps([times], times.astype(np.float64), dt)
            else:
                assert np.array_equal(chunk_steps([times[:7], times[7:]], times.astype(np.float64), dt), wanted)


@pytest.mark.parametrize("chunk", [1, 10**6])
def test_the_first_faulty_example_is_named_whatever_the_chunks(chunk, monkeypatch):
    monkeypatch.setattr(events_module, "CHUNK", chunk)
    good = ([0.0, 1.0], [0, 1])
    faults = {
        "times must lie in": ([9.0], [0]), "neurons must lie in": ([1.0], [50]), "ms apart": (np.float16([5.0]), [0]),
        "must match": ([1.0], [0, 1]), "must be (times, neurons)": None,
    }  # fmt: skip
    steps, dt = 6000, 1e-3
    for text, bad in faults.items():
        for other in faults.values():
            with refused("'spikes', example 2", text):
                prepare([good, good, bad, good, other], steps, dt)


def test_dense_spikes_in_chunks_are_those_of_the_whole(monkeypatch):
    random = np.random.default_rng(3)
    values = random.random((9, 4, 50)) < 0.2
    whole = prepare(values, 4, 1.0)
    monkeypatch.setattr(events_module, "CELLS", 500)
    for kind in (np.bool_, np.float64, np.int8):
        found = prepare(values.astype(kind), 4, 1.0)
        assert all(np.array_equal(getattr(found, n), getattr(whole, n)) for n in ("start", "neuron", "step"))
    spoiled = values.astype(float)
    spoiled[7, 2, 3] = np.nan
    with refused("'spikes'", "finite", "example 7, step 2, no. 3"):
        prepare(spoiled, 4, 1.0)


def test_preparing_events_takes_little_more_than_what_is_kept():
    """8 bytes an event stay; at most 10 are there meanwhile, besides a chunk."""
    random = np.random.default_rng(0)
    examples = [(random.random(3000) * 1000, random.integers(0, 50, 3000)) for _ in range(400)]
    prepare(examples[:2], 1000, 1.0)
    tracemalloc.start()
    found = prepare(examples, 1000, 1.0)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    events = 400 * 3000
    assert kept - found.start.nbytes < 8.1 * events
    assert peak < 10 * events + 3e6
