"""The contract of registered classes: each does on every backend what it does on ``reference``.

What is tried are the ``examples()`` of all classes that are registered while a test runs. The examples of a kind stand
beside each other in one network, one branch from the inputs to an output for each, so that a kind costs one compilation
a backend and no example can take another's numbers or names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import genn_delays as gd
from genn_delays.delays import DELAY_INITIALIZERS, DELAY_KERNELS
from genn_delays.initializers import INITIALIZERS
from genn_delays.learning import OPTIMISERS
from genn_delays.learning.losses import LOSSES
from genn_delays.learning.readouts import READOUTS, as_readout
from genn_delays.neurons import NEURONS
from genn_delays.registry import Registry
from genn_delays.rewiring import REWIRING

STEPS, EXAMPLES, BATCH, INPUTS, HIDDEN, OUT = 12, 6, 3, 12, 10, 3


_SGD, _WEIGHT, _DELAY = gd.SGD(0.05), gd.Normal(0.1, 0.5), gd.UniformInt(0, 4)


@dataclass(frozen=True)
class Branch:
    """One way from the inputs to an output, and what is special about it; the rest is the same for all."""

    neuron: Any = None
    output: Any = None
    readout: Any = "avg_var"
    loss: Any = "per_neuron_mean_square_error"
    optimiser: Any = _SGD
    rule: Any = None
    kernel: Any = None
    weight: Any = _WEIGHT
    delay: Any = _DELAY


def _losses(registry: Any) -> list[Branch]:
    """Every loss on every readout, those on which it is the same loss once."""
    found: dict[Any, Branch] = {}
    for loss in examples(registry):
        for name in loss.fitting():
            found.setdefault((loss, loss.on(name, STEPS)), Branch(loss=loss, readout=name))
    return list(found.values())


def _with_rule(rule: Any) -> Branch:
    """Adam moves all newborn synapses alike, so that their order hung on rounding; only rules that need it have it."""
    return Branch(rule=rule, optimiser=gd.SGD(0.05, momentum=0.5) if rule.num_moments() < 2 else gd.Adam(0.01))


def _with_neuron(neuron: Any) -> Branch:
    """What spikes is in the middle, what does not is an output."""
    spiking = neuron.equations().threshold is not None
    return Branch(neuron=neuron) if spiking else Branch(output=replace(neuron, readout="avg_var"))


KINDS: dict[str, tuple[Any, Callable[[Any], list[Branch]]]] = {
    "optimiser": (OPTIMISERS, lambda r: [Branch(optimiser=e) for e in examples(r)]),
    "loss": (LOSSES, _losses),
    "readout": (READOUTS, lambda r: [Branch(readout=e) for e in examples(r)]),
    "rewiring rule": (REWIRING, lambda r: [_with_rule(e) for e in examples(r)]),
    "delay kernel": (DELAY_KERNELS, lambda r: [Branch(kernel=e) for e in examples(r)]),
    "delay initializer": (DELAY_INITIALIZERS, lambda r: [Branch(delay=e) for e in examples(r)]),
    "initializer": (INITIALIZERS, lambda r: [Branch(weight=e) for e in examples(r)]),
    "neuron": (NEURONS, lambda r: [_with_neuron(e) for e in examples(r) if not e.is_input]),
}
"""Every kind but surrogates, of which a network has one; those are tried one after the other."""


def examples(registry: Registry[Any]) -> list[Any]:
    """Those of every class that is registered now; each is of its class."""
    found = []
    for kind in registry.values():
        own = list(kind.examples())
        assert own and all(type(e) is kind for e in own), f"examples() of {kind.__name__} must give objects of it"
        found += own
    return found


def branches(kind: str, event_prop: bool) -> list[Branch]:
    registry, make = KINDS[kind]
    return [b for b in make(registry) if fits(b, event_prop)]


def fits(branch: Branch, event_prop: bool) -> bool:
    """EventProp has derivatives by spike times and none by spikes as numbers; surrogates are the other way round."""
    readout = as_readout(branch.readout)
    if event_prop and any(getattr(n, "input_latency", 0) for n in (branch.neuron, branch.output)):
        return False  # equations of steps, not of continuous time
    return (readout.derivative == "time" or readout.reads != "spikes") if event_prop else readout.derivative == "value"


def compiled(backend: Any, ways: list[Branch], *, event_prop: bool = False, surrogate: Any = "arctan") -> Any:
    network, optimisers, rules, losses = gd.Network(seed=4), {}, {}, {}
    synapse: Any = gd.Exponential(4.0) if event_prop else "delta"
    gain = 6.0 if event_prop else 1.0
    with network:
        inputs = gd.Population(gd.SpikeInput() if event_prop else gd.Input(), INPUTS, "in")
        for i, way in enumerate(ways):
            lif = gd.LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.4, scale_i=event_prop)
            hidden = gd.Population(way.neuron or lif, HIDDEN, f"hidden{i}")
            if way.output is not None:
                output: Any = way.output
            elif as_readout(way.readout).reads == "spikes":
                output = replace(lif, readout=way.readout)
            else:
                output = gd.LeakyIntegrate(tau_mem=9.0, readout=way.readout, scale_i=event_prop)
            out = gd.Population(output, OUT, f"out{i}")
            weight = way.weight if gain == 1.0 else gd.Normal(0.1 * gain, 0.4 * gain)
            near = gd.FixedNumber(sparsity=0.6, weight=weight, delay=way.delay)
            first = gd.Connection(inputs, hidden, near, synapse, delay_kernel=way.kernel, max_delay_steps=9)
            far = gd.FixedNumber(sparsity=0.0, weight=gd.Normal(0.2 * gain, 0.4 * gain), delay=gd.UniformInt(0, 2))
            gd.Connection(hidden, out, far, synapse)
            learned = ("weight", "delay") if way.kernel is not None else ("weight",)
            optimisers[first] = dict.fromkeys(learned, way.optimiser)
            losses[out] = way.loss
            if way.rule is not None:
                rules[first] = way.rule
    more: dict[str, Any] = {} if event_prop else {"surrogate": surrogate}
    cls: Any = gd.EventPropCompiler if event_prop else gd.SurrogateCompiler
    compiler = cls(STEPS, BATCH, losses=losses, backend=backend, rng_seed=3, **more)
    return compiler.compile(network, optimisers=optimisers, rewiring=rules)


def data(net: Any, event_prop: bool) -> tuple[dict[Any, Any], dict[Any, Any]]:
    random = np.random.default_rng(0)
    x = random.random((EXAMPLES, STEPS, INPUTS))
    inputs = (x < 0.4 if event_prop else x).astype(np.float32)
    truth = {}
    for output in net.plan.outputs:
        population, loss = net.network.populations[output.index], output.loss
        if loss.labelled:
            truth[population] = random.integers(0, OUT, EXAMPLES)
        else:
            shape = (EXAMPLES, STEPS, OUT) if loss.stepwise else (EXAMPLES, OUT)
            truth[population] = random.normal(0.5, 1.0, shape).astype(np.float32)
    return {"in": inputs}, truth


def trained(backend: Any, ways: list[Branch], **arguments: Any) -> dict[str, Any]:
    """The loss, all gradients, and what training has made of the synapses, by name."""
    with compiled(backend, ways, **arguments) as net:
        x, y = data(net, arguments.get("event_prop", False))
        loss, gradients = net.gradients(x, y)
        found: dict[str, Any] = {"loss": np.array(loss)}
        found |= {f"z of {p.name}": z for p, z in net.predict(x)[0].items()}
        for p, metric in net.evaluate(x, y)[0].outputs.items():
            found[f"right answers of {p.name}"] = np.array(metric.accuracy if metric.labelled else 0.0)
        found |= {f"gradient of {c if isinstance(c, str) else c.name}": g for c, g in gradients.items()}
        net.train(x, y, 2, callbacks=())
        for c in net.network.connections:
            synapses = net.synapses(c)
            found |= {f"{part} of {c.name}": getattr(synapses, part) for part in ("pre", "post", "weight")}
            found[f"delays of {c.name}"] = net.delays(c)
        return found


def assert_same_everywhere(backend: Any, ways: list[Branch], **arguments: Any) -> None:
    """A backend's results are those of the definition, and there is something to be learned in every branch."""
    mine, theirs = trained(backend, ways, **arguments), trained("reference", ways, **arguments)
    assert mine.keys() == theirs.keys()
    for what, value in theirs.items():
        number = re.search(r"\d+$", what)
        way = ways[int(number[0])] if number else "all"
        np.testing.assert_allclose(mine[what], value, rtol=2e-3, atol=2e-5, err_msg=f"{what}: {way}")
        if what.startswith("gradient of in_"):
            assert np.abs(value).max() > 0, f"{what}: {way} learns nothing"
