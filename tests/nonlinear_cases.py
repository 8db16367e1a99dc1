"""Networks of nonlinear neurons for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

import genn_delays as gd

EVERY_FUNCTION = gd.UserNeuron(
    vars={
        "x": (
            "(-x + Isyn + 0.1 * sin(3 * x) - 0.2 * cos(y) + 0.1 * tanh(x - y) + 0.05 * sinh(y) - 0.05 * cosh(x / 3)"
            " + 0.1 * Abs(y - x) - 0.02 * tan(y / 5) + 0.1 * exprel(x - 0.3)) / tau",
            "0.3 * exp(-x) * y",
        ),
        "y": (
            "(sqrt(1 + x * x) - 1 + log(2 + x**2) / 10 - (2 + x**4)**-0.3 + 0.01 * log(3 + y**2, 2) - 2**(x / 4) / 5"
            " + x**3 / 50 - y**5 / 90 - (1 + x * x)**0.5 / 9 - y + 1 / (1 + exp(-x)) - (1.5 + x * x)**-2) / 7",
            None,
        ),
    },
    threshold="x + y * y / 5 - 0.5",
    param_vals={"tau": gd.Uniform(4.0, 9.0)},
    output_var_name="x",
    integration="euler",
)
"""A neuron whose equations have every function and every kind of power."""


def neurons() -> dict[str, Any]:
    """One of every kind that small inputs move in steps of 1 ms, by name."""
    found = {"every_function": EVERY_FUNCTION}
    for kind in (gd.AdaptiveExponential, gd.Izhikevich, gd.QuadraticIntegrateFire, gd.HodgkinHuxley, gd.UserNeuron):
        for number, example in enumerate(kind.examples()):
            if example.integration == "euler":
                found[f"{kind.registered_name}_{number}"] = example
    return found


def network(hidden: dict[str, Any], synapse: Any = "delta", *, seed: int = 1, recurrent: bool = False) -> gd.Network:
    """An input, populations of 6 beside each other, and an output."""
    made = gd.Network(seed=seed)
    with made:
        first = gd.Population(gd.Input(), 4, "in")
        out = gd.Population(gd.LeakyIntegrate(tau_mem=9.0, readout="avg_var"), 3, "out")
        for name, neuron in hidden.items():
            p = gd.Population(neuron, 6, name)
            gd.Connection(first, p, gd.Dense(weight=gd.Normal(0.12, 0.4), delay=gd.UniformInt(0, 3)), synapse)
            gd.Connection(p, out, gd.Dense(weight=gd.Normal(0.0, 0.5)), synapse)
            if recurrent:
                gd.Connection(p, p, gd.Dense(weight=gd.Normal(0.0, 0.2), delay=gd.UniformInt(1, 4)), synapse)
    return made


def data(examples: int, steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and labels."""
    random = np.random.default_rng(0)
    x = random.random((examples, steps, 4)).astype(np.float32)
    return {"in": x}, {"out": random.integers(0, 3, examples)}


def run(compiled: Any, examples: int, steps: int, gradients: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spikes and all variables by population, and gradients by connection."""
    x, y = data(examples, steps)
    dynamic = [p for p in compiled.plan.populations if p.model is not None]
    for p in dynamic:
        compiled.engine.keep_variables(p.index)
    found: dict[str, Any] = {}
    if gradients:
        found = {c.name: g for c, g in compiled.gradients(x, y)[1].items()}
    else:
        compiled.predict(x)
    activity = {f"spikes of {p.name}": compiled.engine.spikes(p.index) for p in dynamic if p.spiking}
    for p in dynamic:
        assert p.model is not None
        activity |= {f"{s} of {p.name}": compiled.engine.variable(p.index, s) for s in p.model.states}
    return activity, found
