"""A user's classes in model files: named as they are registered, their fields in the table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from refused import refused

import genn_delays as gd
from genn_delays import DelayInitializer, DelayKernel, DynamicNeuron, Equations, Initializer, Surrogate
from genn_delays.delays import DELAY_INITIALIZERS, DELAY_KERNELS
from genn_delays.initializers import INITIALIZERS
from genn_delays.learning import SURROGATES
from genn_delays.learning.readouts import READOUTS
from genn_delays.neurons import NEURONS
from genn_delays.runs.build import build_network
from genn_delays.runs.config import Config


@dataclass(frozen=True)
class Geometric(DelayInitializer):
    """P(d = low + k) proportional to ratio^k."""

    low: int
    high: int
    ratio: float = 0.5

    def cumulative(self) -> npt.NDArray[np.float64]:
        p = self.ratio ** np.arange(self.high - self.low + 1)
        return np.cumsum(p)[:-1] / p.sum()

    @classmethod
    def examples(cls) -> list[DelayInitializer]:
        return [cls(1, 5)]


@dataclass(frozen=True)
class Ramp(Initializer):
    top: float = 1.0

    def quantile(self, u: Any, fan_in: int) -> Any:
        return self.top * np.sqrt(u) - 0.5


@dataclass(frozen=True)
class Tent(DelayKernel):
    edge: float = 0.0
    offset, reach, body = 1.0, 1.0, "e = max(width - abs(x), 0) + real(edge)\nslope = 1 if x > 0 else real(-1)"


@dataclass(frozen=True)
class Soft(Surrogate):
    slope: float = 2.0

    def spike(self, x: Any) -> Any:
        import sympy

        return (1 + sympy.tanh(self.slope * x)) / 2


@dataclass
class Plain(DynamicNeuron):
    int: Any = 7.0

    def equations(self) -> Equations:
        return Equations({"double": ("-double / int + Isyn", "0")}, "double - 0.4", ("int",), output="double")

    def parameter_values(self) -> dict[str, Any]:
        return {"int": self.int, "double": 0.0}


@dataclass(frozen=True)
class Fading(gd.Readout):
    rate: float = 0.05
    begin, each, end = "sum = real(0)", "sum = sum + real(exp(-rate * double(t))) * v", "z = sum"
    back = "dv = real(exp(-rate * double(t))) * dz"


KINDS = {
    "geometric": (Geometric, DELAY_INITIALIZERS), "ramp": (Ramp, INITIALIZERS), "tent": (Tent, DELAY_KERNELS),
    "soft": (Soft, SURROGATES), "plain": (Plain, NEURONS), "fading": (Fading, READOUTS),
}  # fmt: skip


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for name, (kind, _) in KINDS.items():
        gd.register(name)(kind)
    yield
    for name, (_, registry) in KINDS.items():
        del registry[name]


MODEL = """
[model]
name = "own"
description = "classes of a user's own"
citation = "none"
[[populations]]
name = "pixels"
neuron = "input"
size = 64
[[populations]]
name = "hidden"
neuron = "plain"
size = 6
int = { kind = "uniform", low = 4.0, high = 9.0 }
[[populations]]
name = "digit"
neuron = "leaky_integrate"
size = 10
readout = "sum_var"
[[connections]]
source = "pixels"
target = "hidden"
connectivity = "fixed_number"
sparsity = 0.9
weight = { kind = "ramp", top = 1.2 }
delay = { kind = "geometric", low = 1, high = 6, ratio = 0.7 }
delay_kernel = { kind = "tent", edge = 0.01 }
[[connections]]
source = "hidden"
target = "digit"
connectivity = "dense"
[compiler]
example_timesteps = 12
batch_size = 4
surrogate = { kind = "soft", slope = 3.0 }
[training]
dataset = "digits"
num_epochs = 1
"""


def test_a_model_file_names_them() -> None:
    config = Config.from_tables(tomllib.loads(MODEL))
    network = build_network(config)
    first = network.connections[0]
    assert first.delay_kernel == Tent(edge=0.01)
    assert first.connectivity.delay_initializer == Geometric(1, 6, 0.7)
    assert first.connectivity.weight_initializer == Ramp(1.2)
    assert isinstance(network.populations[1].neuron, Plain)


def test_readouts_with_numbers() -> None:
    """As a table, with the defaults of what it leaves out; a name alone stays a name in the file of the run."""
    table = MODEL.replace('readout = "sum_var"', 'readout = { kind = "fading", rate = 0.2 }')
    config = Config.from_tables(tomllib.loads(table))
    assert build_network(config).populations[2].neuron.readout == Fading(0.2)
    written = Config.from_tables(config.tables())
    assert build_network(written).populations[2].neuron.readout == Fading(0.2)
    assert Config.from_tables(tomllib.loads(MODEL)).populations[2].neuron["readout"] == "sum_var"
    with refused("'rat'", "rate"):
        Config.from_tables(tomllib.loads(table.replace("rate = 0.2", "rat = 0.2")))
    with refused("Fading rate", "'fast'"):
        build_network(Config.from_tables(tomllib.loads(table.replace("0.2 }", '"fast" }'))))
    with refused("readout", "'fadin'", "fading"):
        Config.from_tables(tomllib.loads(table.replace('"fading"', '"fadin"')))


def test_names_that_are_not_there_are_listed() -> None:
    for given, wrong, known in (("plain", "plian", "plain"), ("geometric", "geometrik", "geometric")):
        with refused(f"{wrong!r}", known):
            Config.from_tables(tomllib.loads(MODEL.replace(f'"{given}"', f'"{wrong}"')))


def test_delays_of_any_distribution_on_every_backend(kernels: Any) -> None:
    """Frequencies are those of the formula, and what is grown while training is drawn alike everywhere."""
    drawn = Geometric(1, 6, 0.7).from_words(np.random.default_rng(0).integers(0, 2**32, 60_000, dtype=np.uint32))
    p = 0.7 ** np.arange(6) / (0.7 ** np.arange(6)).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=7)[1:] / drawn.size, p, atol=0.01)
    found = []
    for backend in (kernels, "reference"):
        network = gd.Network(seed=3)
        with network:
            a, h = gd.Population(gd.SpikeInput(), 8, "a"), gd.Population(Plain(), 6, "h")
            o = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 3, "o")
            for source, target in ((a, h), (h, o)):
                gd.Connection(source, target, gd.FixedNumber(sparsity=0.5, weight=Ramp(), delay=Geometric(1, 6)))
        rule = {"all_connections": gd.DeepR(growth_delay="redraw")}
        with gd.SurrogateCompiler(12, 4, surrogate=Soft(), backend=backend).compile(network, rewiring=rule) as compiled:
            x = (np.random.default_rng(1).random((4, 12, 8)) < 0.4).astype(np.float32)
            compiled.train({"a": x}, {"o": np.array([0, 1, 2, 0])}, 3, callbacks=())
            found.append([compiled.synapses(c) for c in network.connections])
    for mine, theirs in zip(*found, strict=True):
        for array, other in zip(mine[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(array, other)
        np.testing.assert_allclose(mine.weight, theirs.weight, atol=1e-5)


def test_what_is_no_distribution_is_refused() -> None:
    class Falling(Geometric):
        def cumulative(self) -> npt.NDArray[np.float64]:
            return np.array([0.5, 0.2, 0.9])

    with refused("Falling", "rise from 0 to 1"):
        gd.FixedNumber(0.5, delay=Falling(0, 3))

    class Down(Ramp):
        def quantile(self, u: Any, fan_in: int) -> Any:
            return -u

    with refused("Down", "rise"):
        gd.FixedNumber(0.5, weight=Down())
    with refused("geometric", "low, high"):
        gd.FixedNumber(0.5, delay="geometric")
