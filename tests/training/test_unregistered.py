"""What a backend does not know is one clear error on every backend, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from refused import refused

from genn_delays import (
    SET,
    Adam,
    ArcTan,
    Connection,
    DeepR,
    FixedNumber,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    MeanSquareError,
    Network,
    Population,
    SparseCategoricalCrossentropy,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.learning.losses import Loss
from genn_delays.learning.optimisers import Optimiser
from genn_delays.learning.readouts import SumVar
from genn_delays.learning.surrogates import Surrogate
from genn_delays.neurons import Neuron


def compile_with(
    backend: Any, *, hidden: Any = None, readout: Any = "sum_var", kernel: Any = None, loss: Any = None,
    surrogate: Any = "arctan", optimiser: Any = "adam", rule: Any = None,
) -> None:  # fmt: skip
    network = Network()
    with network:
        a = Population(Input(), 4, "a")
        b = Population(hidden or LeakyIntegrateFire(), 5, "b")
        c = Population(LeakyIntegrate(readout=readout), 3, "c")
        connectivity = FixedNumber(sparsity=0.5, delay=UniformInt(1, 3))
        Connection(a, b, connectivity, delay_kernel=kernel)
        Connection(b, c, connectivity)
    losses = loss or "sparse_categorical_crossentropy"
    compiler = SurrogateCompiler(8, losses=losses, surrogate=surrogate, backend=backend)
    with compiler.compile(
        network,
        optimisers={"all_connections": {"weight": optimiser}},
        rewiring={} if rule is None else {"all_connections": rule},
    ):
        pass


@dataclass(frozen=True)
class Lion(Optimiser):
    body = "w = w - real(alpha) * copysign(1, g)"


@dataclass(frozen=True)
class Slow(Adam):
    """Another body, and the registered name of its base: `cpu` would silently compute Adam."""

    body = "w = w - real(alpha) * copysign(1, g)"


@dataclass(frozen=True)
class Hinge(Loss):
    ground_truth = "example_value"
    body = "error = double(z) - double(target)\nloss = sum(error)\ndz = 1 / real(num_lanes)"


class Sharp(Surrogate):
    def spike(self, x: Any) -> Any:
        return x


class Half(SumVar):
    pass


@dataclass
class Bare(Neuron):
    pass


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"optimiser": Lion()}, "Lion"),
    ({"optimiser": Slow()}, "Slow"),
    ({"loss": Hinge()}, "Hinge"),
    ({"loss": {"c": Hinge()}}, "Hinge"),
    ({"loss": type("Mine", (SparseCategoricalCrossentropy,), {})()}, "Mine"),
    ({"surrogate": Sharp()}, "Sharp"),
    ({"surrogate": type("Steep", (ArcTan,), {})()}, "Steep"),
    ({"rule": type("Mine", (SET,), {})()}, "Mine"),
    ({"rule": type("Mine", (DeepR,), {})()}, "Mine"),
    ({"kernel": type("Wide", (GaussianKernel,), {})()}, "Wide"),
    ({"hidden": Bare()}, "Bare"),
    ({"hidden": type("Mine", (LeakyIntegrateFire,), {})()}, "Mine"),
]


@pytest.mark.parametrize(("arguments", "name"), UNKNOWN, ids=lambda x: x if isinstance(x, str) else "-".join(x))
def test_what_is_not_registered_is_refused(any_backend: str, arguments: Any, name: str) -> None:
    """An optimiser nobody registered trained on `reference` and ended in TemplateNotFound on `cpu`."""
    with refused(name, "not registered"):
        compile_with(any_backend, **arguments)


def test_a_readout_that_nobody_knows(any_backend: str) -> None:
    with refused("readout", "'half'"):
        compile_with(any_backend, readout="half")
    with refused("Half", "not registered"):
        compile_with(any_backend, readout=Half())


def test_what_is_registered_is_taken() -> None:
    compile_with("reference", loss=MeanSquareError(), optimiser=Adam(), rule=DeepR(), kernel=GaussianKernel())
