"""Recorders of chosen examples and neurons give what all of them give, cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refused import refused

import genn_delays as gd

T, EXAMPLES, BATCH, SHAPE = 12, 10, 4, (2, 4)
random = np.random.default_rng(0)
X, Y = (random.random((EXAMPLES, T, 6)) < 0.4).astype(np.float32), random.integers(0, 3, EXAMPLES)


@pytest.fixture(scope="module")
def compiled() -> Any:
    network = gd.Network()
    with network:
        x, h = gd.Population(gd.SpikeInput(), 6, "x"), gd.Population(gd.LeakyIntegrateFire(), SHAPE, "h")
        o = gd.Population(gd.LeakyIntegrate(readout="sum_softmax"), 3, "o")
        gd.Connection(x, h, gd.Dense(weight=gd.Normal(0.5, 0.8)))
        gd.Connection(h, o, gd.Dense(weight=gd.Normal(0.0, 0.8)))
    return gd.SurrogateCompiler(T, BATCH, backend="reference").compile(network)


def record(compiled: Any, *callbacks: Any) -> dict[str, Any]:
    found: dict[str, Any] = compiled.evaluate({"x": X}, {"o": Y}, callbacks=callbacks)[1]
    return found


EXAMPLE_FILTERS = [
    (3, [3]),
    ([1, 5, 9], [1, 5, 9]),
    (np.array([True, False, True]), [0, 2]),
    ([False] * 8 + [True], [8]),
]
NEURON_FILTERS = [
    (None, list(range(8))),
    (1, [4, 5, 6, 7]),
    (([0, 1], [3, 0]), [3, 4]),
    ((slice(None), [2, 2]), [2, 6]),
    (np.arange(8).reshape(SHAPE) % 3 == 0, [0, 3, 6]),
    ([[True, False, False, False], [False, False, True, False]], [0, 6]),
]


@pytest.mark.parametrize(("examples", "wanted"), EXAMPLE_FILTERS)
@pytest.mark.parametrize(("neurons", "chosen"), NEURON_FILTERS)
def test_what_is_chosen_is_recorded(compiled: Any, examples: Any, wanted: Any, neurons: Any, chosen: Any) -> None:
    whole = record(compiled, gd.SpikeRecorder("h"), gd.VarRecorder("h"))
    found = record(
        compiled,
        gd.SpikeRecorder("h", "s", examples, neurons),
        gd.SpikeRecorder("h", "n", examples, neurons, True),
        gd.VarRecorder("h", "v", "v", examples, neurons),
    )
    times, names = whole["h_spikes"]
    for place, example in enumerate(wanted):
        mine = np.isin(names[example], chosen)
        assert found["s"][0][place].tolist() == times[example][mine].tolist()
        assert found["s"][1][place].tolist() == names[example][mine].tolist()
        assert found["n"][place].tolist() == [int((names[example] == n).sum()) for n in chosen]
        assert np.array_equal(found["v"][place], whole["h_v"][example][:, chosen])
    assert {len(found["s"][0]), len(found["n"]), len(found["v"])} == {len(wanted)}
    assert sum(map(len, times)) > 50


def test_of_every_epoch_and_every_call(compiled: Any) -> None:
    counts = gd.SpikeRecorder("h", "n", example_filter=[0, 9], record_counts=True)
    assert len(compiled.train({"x": X}, {"o": Y}, 3, callbacks=[counts])[1]["n"]) == 6
    assert len(record(compiled, counts)["n"]) == 2


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"example_filter": 12}, ("example_filter", "below 12", "got 12")),
        ({"example_filter": -1}, ("example_filter", "[0, ", "-1")),
        ({"example_filter": [0.5]}, ("example_filter", "0.5")),
        ({"example_filter": np.uint64(2**64 - 1)}, ("example_filter", "[0, ")),
        ({"example_filter": []}, ("example_filter", "[]")),
        ({"neuron_filter": 2}, ("neuron_filter", "(2, 4)", "got 2")),
        ({"neuron_filter": ([0], [4])}, ("neuron_filter", "(2, 4)", "[4]")),
        ({"neuron_filter": [True, False]}, ("neuron_filter", "shape (2, 4)", "(2,)")),
        ({"neuron_filter": "a"}, ("neuron_filter", "'a'")),
        ({"neuron_filter": slice(5, 5)}, ("neuron_filter", "choose a neuron")),
        ({"neuron_filter": [0.5]}, ("neuron_filter", "0.5")),
    ],
)
@pytest.mark.parametrize("kind", [gd.SpikeRecorder, gd.VarRecorder])
def test_choices_that_cannot_be_are_refused(compiled: Any, kind: Any, arguments: Any, parts: tuple[str, ...]) -> None:
    with refused(kind.__name__, *parts):
        record(compiled, kind("h", **arguments))


def test_counts_are_true_or_false() -> None:
    with refused("SpikeRecorder record_counts", "1"):
        gd.SpikeRecorder("h", record_counts=1)  # type: ignore[arg-type]
