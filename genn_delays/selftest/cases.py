"""The cases of the self-test: small networks, one per feature, as data. A new one is an entry of :data:`CASES`.

Every number of a network is a function of its seed, and so are its data. They are small enough for `reference`, which
is NumPy loops, and active enough that a wrong kernel is noticed: the tests of the self-test check both.

Where synapses are rewired, what grows where must be the same on every backend, though gradients differ in their last
bits. So nothing there divides by a gradient's own size, as Adam does at first (its step is as large for a gradient
that is nothing but rounding as for any other): those networks learn by gradient descent, whose steps differ by as
little as the gradients do. Adam is held against the definition apart, with an epsilon that is not small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import FixedNumber, Sparse
from ..delays import DelayKernel, GaussianKernel, TriangleKernel, UniformInt
from ..initializers import Normal, Uniform
from ..learning import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealing,
    ExponentialDecay,
    MeanSquareError,
    OneCycle,
    PerNeuronMeanSquareError,
    RelativeMeanSquareError,
    SparseCategoricalCrossentropy,
)
from ..learning.optimisers import Optimiser
from ..learning.readouts import READOUTS
from ..network import Connection, Network, Population
from ..neurons import (
    AdaptiveLeakyIntegrateFire,
    BatchNorm,
    DynamicNeuron,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    SpikeInput,
    UserNeuron,
)
from ..plan.plan import Plan
from ..rewiring import SET, DeepR, RewiringRule, RigL, SignedRigL
from ..synapses import Exponential
from ..training.compiled_network import CompiledNetwork
from ..training.compiler import Compiler
from ..training.event_prop_compiler import EventPropCompiler
from ..training.surrogate_compiler import SurrogateCompiler

Arrays = dict[str, npt.NDArray[Any]]

PLAIN = LeakyIntegrateFire(tau_mem=Uniform(5, 20), v_thresh=0.5, v=Uniform(-0.2, 0.2))
REFRACTORY = LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, v_reset=-0.1, tau_refrac=Uniform(1.0, 4.0))
RELATIVE = LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.5, relative_reset=True)
EXACT = LeakyIntegrateFire(tau_mem=Uniform(3, 12), v_thresh=0.5, scale_i=True, integration="exact")
ADAPTIVE = AdaptiveLeakyIntegrateFire(tau_mem=8.0, tau_adapt=30.0, v_thresh=0.5, beta=0.3, tau_refrac=2.0)
EQUATIONS = UserNeuron(
    vars={"u": ("-u / tau_u + Isyn", "c * u * u / (1 + u**2)"), "r": ("(u - r) / tau_r", "r - 0.1")},
    threshold="u + 0.3 * r * r - v_thresh",
    param_vals={"tau_u": 6.0, "tau_r": 15.0, "c": 0.2, "v_thresh": 0.5},
)

CROSSENTROPY = SparseCategoricalCrossentropy()
DESCENT, DELAYS = SGD(0.02, momentum=0.9), SGD(0.5)
STEPS = 20
"""Training steps of the networks that are trained."""


@dataclass(frozen=True)
class Case:
    """A network, its data, and how it is trained.

    Attributes:
        name: the feature, for people.
        hidden: neurons of the hidden layers.
        outputs: readout and loss of every output population.
        spike_input: spikes in place of real numbers as inputs.
        event_prop: trained by EventProp, with exponential synapses.
        skip: inputs reach the outputs too. recurrent: the first hidden layer reaches itself.
        multapses: any number of synapses a pair; otherwise `kernel_count` of them.
        kernel: how synapses are spread over lags. learn_delays: also without one.
        learn_tau: the hidden neurons' time constants are learned.
        inputs, size: neurons of the input and of the first hidden layer; each later one has one fewer.
        time_steps, batch_size: odd, so that no row fills whole vectors or words. Batches of up to 8 examples may have
            kernels of their own.
        sparsity: of every connection. longest: the longest delay, in time steps.
        arguments: of the compiler, besides.
        steps: training steps, even; 0: passes are compared, and nothing is learned.
        optimiser, delay_optimiser: of weights (and what populations learn) and delays.
        quick: whether ``--quick`` computes it; the features of all other cases are in quick ones too, in other
            combinations.
    """

    name: str
    hidden: tuple[DynamicNeuron, ...] = (PLAIN,)
    outputs: tuple[tuple[str, Any], ...] = (("sum_softmax", CROSSENTROPY),)
    spike_input: bool = False
    event_prop: bool = False
    skip: bool = False
    recurrent: bool = False
    multapses: bool = False
    kernel_count: int = 1
    kernel: DelayKernel | None = None
    learn_delays: bool = False
    learn_tau: bool = False
    batch_norm: bool = False
    dropout: float = 0.0
    sparsity: float = 0.3
    longest: int = 9
    inputs: int = 9
    size: int = 12
    time_steps: int = 19
    batch_size: int = 9
    arguments: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    optimiser: Optimiser = DESCENT
    delay_optimiser: Optimiser = DELAYS
    rewiring: RewiringRule | None = None
    seed: int = 1
    quick: bool = True

    @property
    def learns_delays(self) -> bool:
        """True if delays are learned, spread over lags or not."""
        return self.learn_delays or self.kernel is not None

    def network(self) -> Network:
        """The network."""
        network = Network(seed=self.seed)
        with network:
            pops = [Population(SpikeInput() if self.spike_input else Input(), self.inputs, name="in")]
            norm = BatchNorm(scale=Uniform(0.5, 1.0), shift=Normal(0.1, 0.1)) if self.batch_norm else None
            for number, neuron in enumerate(self.hidden):
                pops.append(
                    Population(neuron, self.size - number, f"hidden{number}", batch_norm=norm, dropout=self.dropout)
                )
            outs = [self._output(number, readout) for number, (readout, _) in enumerate(self.outputs)]
            pairs = [*pairwise(pops), *((pops[-1], out) for out in outs)]
            pairs += [(pops[0], outs[0])] * self.skip + [(pops[1], pops[1])] * self.recurrent
            for source, target in pairs:
                self._connect(source, target)
        return network

    def _output(self, number: int, readout: str) -> Population:
        spiking = READOUTS[readout].reads == "spikes"
        neuron: DynamicNeuron
        if spiking:
            neuron = LeakyIntegrateFire(tau_mem=10.0, v_thresh=0.4, scale_i=self.event_prop, readout=readout)
        else:
            neuron = LeakyIntegrate(tau_mem=10.0, scale_i=self.event_prop, readout=readout)
        bias = 0.01 if not self.event_prop else 0.0
        return Population(neuron, 4, f"out{number}", bias=bias)

    def _connect(self, source: Population, target: Population) -> None:
        shortest = 2 if self.recurrent else 0
        delay = UniformInt(shortest, self.longest)
        gain = 8.0 if getattr(target.neuron, "scale_i", False) else 1.0
        weight = Normal(0.1 * gain, (0.3 if target.neuron.readout else 0.5) * gain)
        synapse = Exponential(Uniform(3.0, 6.0)) if self.event_prop else "delta"
        if self.multapses:
            random = np.random.default_rng(self.seed)
            pre, post = random.integers(0, source.size, 60), random.integers(0, target.size, 60)
            Connection(source, target, Sparse(pre, post, weight, delay, multapses=True), synapse)
            return
        connectivity = FixedNumber(sparsity=self.sparsity, weight=weight, delay=delay, kernel_count=self.kernel_count)
        limit = min(self.longest + 2, self.time_steps - 1) if self.learns_delays else None
        Connection(source, target, connectivity, synapse, max_delay_steps=limit, delay_kernel=self.kernel)

    def compile(self, backend: Any) -> CompiledNetwork:
        """The network compiled for a backend, with its optimisers and rules."""
        compiler, network, arguments = self._described(backend)
        return compiler.compile(network, **arguments)

    def plan(self) -> Plan:
        """Its plan, the same for every backend."""
        compiler, network, arguments = self._described("reference")
        return compiler.plan(network, **arguments)

    def _described(self, backend: Any) -> tuple[Compiler, Network, dict[str, Any]]:
        """A compiler, the network, its optimisers and its rewiring rules."""
        network = self.network()
        kind: Any = EventPropCompiler if self.event_prop else SurrogateCompiler
        losses = {f"out{number}": loss for number, (_, loss) in enumerate(self.outputs)}
        arguments = {"backend": backend, "rng_seed": 5, **self.arguments}
        compiler: Compiler = kind(self.time_steps, self.batch_size, losses, **arguments)
        learned: dict[str, Any] = {"weight": self.optimiser}
        if self.learns_delays:
            learned["delay"] = self.delay_optimiser
        optimisers: dict[str, Any] = {"all_connections": learned}
        values = {"batch_norm": self.optimiser} if self.batch_norm else {}
        values |= {"tau_mem": self.optimiser} if self.learn_tau else {}
        optimisers |= {f"hidden{number}": values for number in range(len(self.hidden)) if values}
        rules = {} if self.rewiring is None else {"all_connections": self.rewiring}
        return compiler, network, {"optimisers": optimisers, "rewiring": rules}

    def data(self) -> tuple[Arrays, Arrays]:
        """Inputs, and labels or targets, of one and a half batches: the last batch is smaller."""
        random = np.random.default_rng(1000 + self.seed)
        count = self.batch_size + self.batch_size // 2
        x = random.random((count, self.time_steps, self.inputs))
        y: Arrays = {}
        for number, (_, loss) in enumerate(self.outputs):
            if loss.labelled:
                y[f"out{number}"] = random.integers(0, 4, count)
            else:
                times = (self.time_steps,) if loss.stepwise else ()
                y[f"out{number}"] = random.random((count, *times, 4)).astype(np.float32)
        rate = np.linspace(0.1, 0.8, self.inputs) ** 2  # backends have a form for few spikes and one for many
        return {"in": (x < rate if self.spike_input else x).astype(np.float32)}, y


def _passes() -> list[Case]:
    """Networks whose passes are compared: spikes, potentials, losses, gradients."""
    exact: dict[str, Any] = {"hidden": (EXACT,), "event_prop": True, "outputs": (("avg_var", CROSSENTROPY),)}
    dcls = Case("DCLS", learn_delays=True, sparsity=0.5, longest=14)
    return [
        Case("surrogate gradient, real inputs", (PLAIN, RELATIVE), skip=True, arguments={"detach_reset": False}),
        Case("surrogate gradient, spike inputs", (REFRACTORY, EQUATIONS), (("sum_var", CROSSENTROPY),),
             spike_input=True, arguments={"surrogate": "triangle"}),
        Case("EventProp, real inputs", learn_delays=True, skip=True, quick=False, **exact),
        Case("EventProp, spike inputs", (ADAPTIVE, EQUATIONS), (("max_var", CROSSENTROPY),), spike_input=True,
             event_prop=True, learn_delays=True, arguments={"reg_strength_upper": 0.01, "reg_nu_upper": 1.0}),
        replace(dcls, name="DCLS, Gaussian kernel, widest", kernel=GaussianKernel(sigma=7.0)),
        replace(dcls, name="DCLS, Gaussian kernel, half way", kernel=GaussianKernel(sigma=1.3), quick=False),
        replace(dcls, name="DCLS, Gaussian kernel, narrowest", kernel=GaussianKernel(sigma=0.23)),
        replace(dcls, name="DCLS, triangle kernel", kernel=TriangleKernel(sigma=1.3), spike_input=True),
        Case("whole delays, learned", (PLAIN, PLAIN), learn_delays=True, quick=False),
        Case("batch norm and time constants", (PLAIN, RELATIVE), batch_norm=True, learn_tau=True, quick=False),
        Case("dropout", (PLAIN, PLAIN), dropout=0.4, skip=True, quick=False),
        Case("a cycle, surrogate gradient", (PLAIN, PLAIN), recurrent=True, quick=False),
        Case("a cycle, EventProp", recurrent=True, learn_delays=True, spike_input=True, **exact),
        Case("several synapses a pair", multapses=True, spike_input=True, quick=False),
        Case("kernel count 2", kernel_count=2, learn_delays=True, kernel=GaussianKernel(sigma=2.0), spike_input=True),
        Case("readouts and losses", outputs=READ, arguments={"reg_strength_lower": 0.02, "reg_nu_lower": 3.0}),
        Case("first spike times", (EXACT,), TIMES, spike_input=True, event_prop=True),
        Case("a few examples, surrogate gradient", (PLAIN, EQUATIONS), batch_size=5, spike_input=True, skip=True),
        Case("two examples, EventProp", (EXACT, ADAPTIVE), (("max_var", CROSSENTROPY),), batch_size=2, spike_input=True,
             event_prop=True),
        Case("long examples, a batch in tiles", learn_delays=True, time_steps=150, batch_size=41, longest=70,
             spike_input=True, sparsity=0.5),
        Case("batch norm and dropout in tiles", batch_norm=True, learn_tau=True, dropout=0.3, time_steps=150,
             batch_size=41, sparsity=0.5),
    ]  # fmt: skip


READ = (
    ("sum_var", SparseCategoricalCrossentropy(label_smoothing=0.1)),
    ("avg_var", SparseCategoricalCrossentropy(per_timestep=True)),
    ("var", MeanSquareError()),
    ("end_var", PerNeuronMeanSquareError()),
    ("avg_var_exp_weight", CROSSENTROPY),
    ("max_var", CROSSENTROPY),
    ("spike_count", CROSSENTROPY),
)
"""Outputs of the network with all readouts and losses of potentials and counts."""
TIMES = (("first_spike_time", CROSSENTROPY), ("first_spike_time", RelativeMeanSquareError(delta=3.0)))
"""And of spike times."""


def _trained() -> list[Case]:
    """Networks that are trained: by every optimiser, and rewired by every rule."""
    base = Case("", (EXACT,), (("avg_var", CROSSENTROPY),), event_prop=True, spike_input=True, steps=STEPS)
    learner = replace(base, learn_delays=True)
    sparse = replace(base, sparsity=0.7, optimiser=SGD(5.0, momentum=0.5))
    surrogate = Case("", sparsity=0.7, steps=STEPS, optimiser=SGD(0.02, momentum=0.5))
    # more than 16,384 synapses and candidates: backends have other kernels for those
    large = replace(sparse, inputs=300, size=300, sparsity=0.8, time_steps=12, steps=4, quick=False)
    return [
        replace(learner, name="optimiser SGD", optimiser=SGD(0.2, momentum=0.9, l1=0.01),
                delay_optimiser=SGD(20.0, momentum=0.5, schedule=CosineAnnealing(per="batch")),
                arguments={"clip_norm": 0.5}),
        replace(learner, name="optimiser Adam", delay_optimiser=Adam(0.2, epsilon=0.01),
                optimiser=Adam(0.05, epsilon=0.02, l1=0.005, schedule=OneCycle(maximum=0.08))),
        replace(learner, name="optimiser AdamW", delay_optimiser=AdamW(0.2, epsilon=0.01),
                optimiser=AdamW(0.05, epsilon=0.02, decay=0.1, weight_decay=0.01, l1=0.02, decoupled_l1=True,
                                schedule=ExponentialDecay())),
        Case("learned batch norm and time constants", (PLAIN, REFRACTORY), batch_norm=True, learn_tau=True,
             dropout=0.25, steps=STEPS, optimiser=Adam(0.02, epsilon=0.1),
             arguments={"reg_strength_upper": 0.01, "clip_norm": 1.0}),
        replace(sparse, name="DEEP R", rewiring=DeepR(l1=0.02), quick=False),
        replace(sparse, name="DEEP R, by the gradient", rewiring=DeepR(l1=0.02, growth="gradient")),
        replace(surrogate, name="DEEP R, Dale's law, noise, fresh delays",
                rewiring=DeepR(l1=0.2, dale=True, temperature=1e-4, growth_delay="redraw")),
        replace(surrogate, name="DEEP R, the best delays", learn_delays=True,
                rewiring=DeepR(l1=0.2, growth="gradient", growth_delay="best")),
        replace(surrogate, name="DEEP R under DCLS", kernel=GaussianKernel(), longest=7,
                rewiring=DeepR(l1=0.2, growth="gradient", decoupled_l1=True)),
        replace(sparse, name="SET", learn_delays=True, rewiring=SET(fraction=0.2, interval=3)),
        replace(sparse, name="RigL", rewiring=RigL(fraction=0.3, interval=2), quick=False),
        replace(sparse, name="RigL with signs", rewiring=SignedRigL(fraction=0.3, interval=2, dale=True)),
        replace(surrogate, name="RigL, two synapses a pair", kernel_count=2, optimiser=SGD(0.005, momentum=0.5),
                rewiring=RigL(fraction=0.3, interval=2, candidates=40)),
        replace(sparse, name="DEEP R, a few examples", batch_size=3, rewiring=DeepR(l1=0.02, growth="gradient")),
        replace(large, name="DEEP R, a large connection", rewiring=DeepR(l1=0.02)),
        replace(large, name="RigL, a large connection", rewiring=RigL(fraction=0.02, interval=2)),
    ]  # fmt: skip


CASES = (*_passes(), *_trained())
"""All networks but that of the digits."""
