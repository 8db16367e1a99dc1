"""Random networks of everything that NIR carries, and what they do."""

from __future__ import annotations

import numpy as np

from genn_delays import (
    Connection,
    Exponential,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)
from genn_delays.callbacks import SpikeRecorder

STEPS = 30


def random_network(seed: int) -> Network:
    """A network of two hidden layers: every neuron, synapse and kind of connection that NIR carries."""
    rng = np.random.default_rng(seed)
    synapse = Exponential(Uniform(2, 6)) if seed % 2 else "delta"
    exact = {"integration": "exact", "scale_i": True} if seed % 3 == 1 else {}
    gain = 3.0 if exact else 1.0
    a, b = int(rng.integers(5, 12)), int(rng.integers(6, 14))
    network = Network(seed=seed)
    with network:
        x = Population(SpikeInput() if seed % 4 < 2 else Input(), a, "x")
        first = Population(LeakyIntegrateFire(tau_mem=Uniform(4, 20), v_thresh=0.8, **exact), b, "first/1")
        second = Population(
            LeakyIntegrateFire(tau_mem=9.3, v_reset=-0.2, **exact),
            7,
            "second",
            bias=Uniform(0.0, 1.5 if exact else 0.2),
        )
        out = Population(LeakyIntegrate(tau_mem=7.7, readout="sum_var", scale_i=bool(seed % 5)), 3, "out")

        def connected(source, target, sparsity, low, high, name=None, count=1):
            rule = FixedNumber(
                sparsity=sparsity, weight=KaimingUniform(gain), delay=UniformInt(low, high), kernel_count=count
            )
            Connection(source, target, rule, synapse, name)

        connected(x, first, 0.4, 0, 9)
        connected(x, first, 0.8, 2, 3, "twice")
        connected(first, second, 0.3, seed % 2, 5, count=2 if seed == 4 else 1)
        connected(second, out, 0.2, 0, 4)
        if seed % 2:
            connected(first, first, 0.7, 1, 6)
            connected(second, first, 0.5, 1, 3)
    return network


def data(network: Network, examples: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    shape = (examples, STEPS, network.inputs[0].size)
    spikes = (rng.random(shape) < 0.2).astype(np.float32)
    return {"x": spikes if isinstance(network.inputs[0].neuron, SpikeInput) else spikes * rng.random(shape)}


def activity(network: Network, dt: float = 1.0, backend: str = "reference"):
    """Readouts, and all spikes by population."""
    with SurrogateCompiler(STEPS, 2, backend=backend, dt=dt).compile(network) as compiled:
        spiking = [p for p in network.populations if p.spiking and not p.neuron.is_input]
        z, recorded = compiled.predict(data(network), callbacks=[SpikeRecorder(p) for p in spiking])
    return {p.name: value for p, value in z.items()}, recorded
