"""Small networks to be rewired, and how tests steer what an engine would do by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from genn_delays import (
    Adam,
    CompiledNetwork,
    Connection,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.backends.cpu.engine import CPUEngine
from genn_delays.backends.cuda.engine import CUDAEngine
from genn_delays.connectivity import Synapses, home_words
from genn_delays.learning.schedules import Progress
from genn_delays.plan.exchanged import Rewired
from genn_delays.plan.protocol import Engine
from genn_delays.random import Purpose, philox
from genn_delays.rewiring import RewiringRule

TIME_STEPS = 16
LARGEST_DELAY = 9


def small_network(
    sparsity: float = 0.8,
    seed: int = 1,
    weight: Any = None,
    *,
    kernel: Any = None,
    kernel_count: int = 1,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Network:
    """12 inputs, 15 spiking neurons, 4 outputs; delays of 0 to 9 steps."""
    network = Network(seed=seed)
    with network:
        a = Population(Input(), 12, name="in")
        neuron = LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.5)
        h = Population(neuron, 15, name="hidden", batch_norm=batch_norm, dropout=dropout)
        o = Population(LeakyIntegrate(tau_mem=10.0, readout="sum_softmax"), 4, name="out")
        for source, target in ((a, h), (h, o)):
            connectivity = FixedNumber(
                sparsity=sparsity,
                weight=weight or KaimingUniform(),
                delay=UniformInt(0, LARGEST_DELAY),
                kernel_count=kernel_count,
            )
            Connection(source, target, connectivity, delay_kernel=kernel)
    return network


def data(network: Network, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random inputs and labels of a small network."""
    random = np.random.default_rng(2)
    x = random.random((count, TIME_STEPS, network.populations[0].size)).astype(np.float32)
    return {"in": x}, {"out": random.integers(0, 4, count)}


def train(
    network: Network,
    rule: Any,
    backend: Any,
    steps: int,
    *,
    alpha: float = 0.01,
    batch: int = 4,
    rng_seed: int = 5,
    delay: Any = None,
    optimiser: Any = None,
) -> CompiledNetwork:
    """Steps of training on random data, two an epoch; `delay`: the delays' optimiser, `optimiser`: that
    of all else, Adam where it is not given. Gives the compiled network."""
    compiler = SurrogateCompiler(TIME_STEPS, batch, backend=backend, rng_seed=rng_seed)
    optimiser = optimiser or Adam(alpha)
    everywhere = {"weight": optimiser} | ({} if delay is None else {"delay": delay})
    optimisers: dict[str, Any] = {"all_connections": everywhere, "all_populations": {"batch_norm": optimiser}}
    compiled = compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": rule})
    if steps:
        compiled.train(*data(network, 2 * batch), steps // 2, callbacks=())
    return compiled


def rewire(engine: Any, step: int, progress: Progress | None = None) -> dict[int, int]:
    """What a training step does last: every rule that is due acts. Gives how many synapses it replaced."""
    now = progress or Progress(0, 1, 0, 1)
    connections = [c for c in engine.plan.connections if c.rewiring and c.rewiring.due(step, now)]
    return totals(engine.rewire(step, {c.index: c.rewiring.num_dropped(c.size, now) for c in connections}))


def totals(counts: Mapping[int, Rewired]) -> dict[int, int]:
    """How many synapses an engine replaced, newborn ones and others together."""
    return {index: count.total for index, count in counts.items()}


def set_gradient(engine: Engine, connection: int, gradient: npt.NDArray[np.float32], variable: str = "weight") -> None:
    """Put a gradient in the place of what the backward pass found."""
    if isinstance(engine, CPUEngine):
        engine._connection_arrays[connection]["grad" if variable == "weight" else "delay_grad"][:] = gradient
    elif isinstance(engine, CUDAEngine):
        engine.connection[connection]["grad" if variable == "weight" else "delay_grad"].upload(gradient)
    else:
        engine._gradients[connection, variable] = gradient  # type: ignore[attr-defined]


def assert_same_state(one: Engine, two: Engine, connection: int) -> None:
    """Every array of a connection's state is the same, bit by bit."""
    a, b = one.state(connection).arrays(), two.state(connection).arrays()
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name], err_msg=name)


def signs(network: Network, connection: Connection, synapses: Synapses, rule: RewiringRule) -> npt.NDArray[np.int64]:
    """The sign of every synapse for good: its pair's, or its source neuron's."""
    if rule.dale:
        word = philox(network.seed, Purpose.DALE, connection.source.index, synapses.pre)[0]
    else:
        word = home_words(synapses.pre, synapses.post, 0, network.seed, connection.index)[0]
    return np.where(word < connection.connectivity.home_sign_threshold(connection.source.size), -1, 1)
