"""Random networks for tests: small, of every shape the kernels must handle, a function of one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from genn_delays import (
    Adam,
    AdaptiveLeakyIntegrateFire,
    BatchNorm,
    CompiledNetwork,
    Connection,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Sparse,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
)
from genn_delays.delays import DELAY_KERNELS
from genn_delays.learning.readouts import READOUTS

NEURONS = {
    "plain": LeakyIntegrateFire(tau_mem=Uniform(5, 20), v_thresh=0.5, v=Uniform(-0.2, 0.2)),
    "exact": LeakyIntegrateFire(tau_mem=Uniform(3, 12), v_thresh=0.5, scale_i=True, integration="exact"),
    "reset": LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, v_reset=Uniform(-0.4, 0.1)),
    "relative": LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, relative_reset=True),
    "refractory": LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, tau_refrac=Uniform(1.0, 4.0), v_reset=-0.1),
    "adaptive": AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, v_thresh=0.5, beta=0.3, integration="exact"),
    "adaptive_refractory": AdaptiveLeakyIntegrateFire(
        tau_mem=8.0, tau_adapt=30.0, v_thresh=0.5, beta=0.3, tau_refrac=2.0
    ),
    "user": UserNeuron(
        vars={"u": ("-u / tau_u + Isyn", "c * u * u / (1 + u**2)"), "r": ("(u - r) / tau_r", "r - 0.1")},
        threshold="u + 0.3 * r * r - v_thresh",
        param_vals={"tau_u": 6.0, "tau_r": 15.0, "c": 0.2, "v_thresh": 0.5},
    ),
}  # fmt: skip
"""Hidden neurons, by what is special about them."""


@dataclass(frozen=True)
class Case:
    """A random network and its data.

    `multapses`: several synapses a pair; `skip`: connections that jump layers; `recurrent`: cycles; `kernel`, `sigma`:
    how synapses are spread over lags; `kernel_count`: synapses of every pair; `learn_delays`: also without a kernel;
    `longest`: about the longest delay; `neuron`: the hidden neurons, a key of NEURONS; `exponential`: their synapses;
    `event_prop`: how it is trained.
    """

    seed: int
    depth: int = 1
    time_steps: int = 20
    batch_size: int = 8
    multapses: bool = False
    skip: bool = False
    recurrent: bool = False
    spike_input: bool = False
    readout: str = "sum_softmax"
    surrogate: str = "arctan"
    detach_reset: bool = True
    batch_norm: bool = False
    dropout: float = 0.0
    kernel: str | None = None
    sigma: float = 2.0
    kernel_count: int = 1
    learn_delays: bool = False
    longest: int = 15
    neuron: str = "plain"
    exponential: bool = False
    event_prop: bool = False

    @classmethod
    def current_based(cls, seed: int) -> Case:
        """Seeds 0, 1, 2, ... go through neurons with exponential synapses; every other is trained by EventProp."""
        return replace(
            cls.numbered(seed),
            exponential=True,
            neuron=sorted(NEURONS)[seed % len(NEURONS)],
            readout=("sum_softmax", "avg_var", "max_var", "var")[seed % 4],
            learn_delays=True,
            event_prop=seed % 3 != 0,
        )

    @classmethod
    def numbered(cls, seed: int) -> Case:
        """Seeds 0, 1, 2, ... go through all combinations of interest."""
        return cls(
            seed=seed,
            depth=seed % 3 + 1,
            time_steps=15 + seed % 7,
            batch_size=(1, 3, 16, 17)[seed % 4],
            multapses=seed % 5 == 0,
            skip=seed % 3 == 0,
            recurrent=seed % 4 == 1,
            spike_input=seed % 6 == 2,
            readout=("sum_var", "sum_softmax")[seed % 2],
            surrogate=("arctan", "triangle")[seed // 2 % 2],
            detach_reset=seed % 2 == 0,
        )

    @classmethod
    def published(cls, seed: int) -> Case:
        """Seeds 0, 1, 2, ... go through combinations of batch norm, dropout, delay kernels and kernel counts."""
        return replace(
            cls.numbered(seed),
            recurrent=seed % 7 == 5,
            multapses=False,
            batch_norm=seed % 7 != 5 and seed % 3 != 2,
            dropout=(0.0, 0.4, 0.25)[seed % 3],
            kernel=("gaussian", "triangle", "gaussian", None)[seed % 4],
            sigma=(12.0, 2.0, 0.5)[seed // 2 % 3],
            kernel_count=1 + seed // 2 % 2,
            learn_delays=True,
        )

    def network(self) -> Network:
        """The network."""
        random = np.random.default_rng(self.seed)
        sizes = random.integers(3, 12, self.depth + 2).tolist()
        network = Network(seed=self.seed)
        with network:
            first = SpikeInput() if self.spike_input else Input()
            pops = [Population(first, sizes[0], name="in")]
            for size in sizes[1:-1]:
                neuron = NEURONS[self.neuron]
                norm = BatchNorm(scale=Uniform(0.5, 1.0), shift=Normal(0.1, 0.1)) if self.batch_norm else None
                pops.append(Population(neuron, size, batch_norm=norm, dropout=self.dropout))
            spiking = READOUTS[self.readout].reads == "spikes"
            last = LeakyIntegrateFire(v_thresh=0.5) if spiking else LeakyIntegrate(scale_i=self.exponential)
            last = replace(last, tau_mem=10.0, readout=self.readout)
            pops.append(Population(last, sizes[-1], name="out"))
            pairs = list(pairwise(pops))
            if self.skip:
                pairs += [(pops[0], pops[-1])] + ([(pops[1], pops[-1])] if self.depth > 1 else [])
            if self.recurrent:
                pairs += [(pops[1], pops[1])] + ([(pops[2], pops[1])] if self.depth > 1 else [])
            for source, target in pairs:
                self._connect(random, source, target)
        return network

    def _connect(self, random: np.random.Generator, source: Population, target: Population) -> None:
        shortest = 1 + self.seed % 4 if self.recurrent else 0
        delay = UniformInt(shortest, shortest + int(random.integers(1, self.longest)))
        weight = Normal(0.1, 0.3 if target.neuron.readout else 0.5)
        synapse = Exponential(Uniform(3.0, 6.0)) if self.exponential else "delta"
        if getattr(target.neuron, "scale_i", False):
            weight = Normal(weight.mean * 8, weight.sd * 8)
        if self.multapses:
            count = int(random.integers(5, 60))
            pre, post = random.integers(0, source.size, count), random.integers(0, target.size, count)
            Connection(source, target, Sparse(pre, post, weight, delay, multapses=True), synapse)
        else:
            sparsity = float(random.choice([0.0, 0.3, 0.7]))
            connectivity = FixedNumber(sparsity=sparsity, weight=weight, delay=delay, kernel_count=self.kernel_count)
            kernel = None if self.kernel is None else DELAY_KERNELS[self.kernel](sigma=self.sigma)
            limit = min(delay.high + 2, self.time_steps - 1)
            limit_given = limit if self.learn_delays else None
            Connection(source, target, connectivity, synapse, max_delay_steps=limit_given, delay_kernel=kernel)

    def compile(
        self, backend: Any, compiler_arguments: dict[str, Any] | None = None, **arguments: Any
    ) -> CompiledNetwork:
        """Compiled for a backend; `compiler_arguments` are the compiler's own, the others those of ``compile``."""
        kind: Any = EventPropCompiler if self.event_prop else SurrogateCompiler
        given = {} if self.event_prop else {"surrogate": self.surrogate, "detach_reset": self.detach_reset}
        compiler = kind(self.time_steps, self.batch_size, backend=backend, **given, **compiler_arguments or {})
        if self.learn_delays and "optimisers" not in arguments:
            arguments["optimisers"] = {
                "all_connections": {"weight": "adam", "delay": Adam(0.1)},
                **({"all_populations": {"batch_norm": "adam"}} if self.batch_norm else {}),
            }  # fmt: skip
        return compiler.compile(self.network(), **arguments)

    def data(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Inputs and labels of one and a half batches, so that the last batch is smaller."""
        random = np.random.default_rng(1000 + self.seed)
        network = self.network()
        count = self.batch_size + self.batch_size // 2
        x = random.random((count, self.time_steps, network.populations[0].size))
        if self.spike_input:
            x = x < 0.3
        y = random.integers(0, network.populations[-1].size, count)
        return {"in": x.astype(np.float32)}, {"out": y}


def largest_difference(found: Any, expected: Any) -> float:
    """max |difference| over max |expected|."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300))


def unround(compiled: CompiledNetwork, seed: int) -> None:
    """Real-valued delays that round to those there are, and other running averages than those of no training."""
    random = np.random.default_rng(seed)
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        beside = state.position + random.uniform(-0.45, 0.45, state.position.size)
        state.position = np.clip(beside, c.min_delay, c.max_delay).astype(np.float32)
        compiled.engine.set_state(c.index, state)
    for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
        if p.batch_norm:
            state.values["batch_norm_mean"] = random.normal(0.1, 0.1, p.size).astype(np.float32)
            state.values["batch_norm_var"] = random.uniform(0.2, 2.0, p.size).astype(np.float32)
            compiled.engine.set_values(p.index, state.values)
