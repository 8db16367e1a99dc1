"""NIR's nodes computed step by step with NumPy, by their published equations: nothing of the library is used.

A spike is the value 1 for one time step, ``y(t) = x(t - delay)``, edges into one node add up. A neuron reads its input
of the same step; a synaptic current reaches the membrane in the next one.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Steps:
    """A graph of NIR's own nodes, computed for one example.

    Args:
        graph: a ``nir.NIRGraph`` without nested graphs, of nodes of one dimension.
        dt: seconds.
        exact: exponential integration in place of forward Euler.
    """

    def __init__(self, graph: Any, dt: float, exact: bool) -> None:
        self.graph, self.dt, self.exact = graph, dt, exact
        self.before = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
        self.out: dict[tuple[str, int], np.ndarray] = {}
        self.v: dict[str, np.ndarray] = {}
        self.i: dict[str, np.ndarray] = {}
        self.trace: dict[tuple[str, int], np.ndarray] = {}

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        """`inputs` by name ``[time, neuron]``."""
        for t in range(len(next(iter(inputs.values())))):
            for name, x in inputs.items():
                self.out[name, t] = x[t].astype(float)
            for name in self.graph.nodes:
                self.value(name, t)

    def spikes(self, name: str) -> set[tuple[int, int]]:
        """(step, neuron) of every spike."""
        return {(t, int(k)) for (n, t), z in self.out.items() if n == name for k in np.flatnonzero(z)}

    def value(self, name: str, t: int) -> np.ndarray:
        if (name, t) not in self.out:
            self.out[name, t] = self.compute(self.graph.nodes[name], name, t)
        return self.out[name, t]

    def given(self, name: str, t: int) -> Any:
        return sum(self.value(before, t) for before in self.before[name])

    def compute(self, node: Any, name: str, t: int) -> np.ndarray:
        kind = type(node).__name__
        if kind == "Delay":
            steps = np.rint(node.delay / self.dt).astype(int)
            return np.array([self.given(name, t - d)[k] if t >= d else 0.0 for k, d in enumerate(steps)])
        if kind in ("Linear", "Affine"):
            return node.weight.astype(float) @ self.given(name, t) + getattr(node, "bias", 0.0)
        if kind == "Output":
            return np.asarray(self.given(name, t))
        return self.neuron(node, kind, name, t)

    def neuron(self, node: Any, kind: str, name: str, t: int) -> np.ndarray:
        x = self.given(name, t)
        v = self.v.get(name, np.zeros(node.r.size))
        tau = node.tau_mem if kind.startswith("Cuba") else node.tau
        decay = np.exp(-self.dt / tau) if self.exact else 1 - self.dt / tau
        if kind.startswith("Cuba"):
            i, ts = self.i.get(name, np.zeros(node.r.size)), node.tau_syn
            if self.exact:
                through = (np.exp(-self.dt / ts) - np.exp(-self.dt / tau)) / (1 / tau - 1 / ts) / tau
                self.i[name] = i * np.exp(-self.dt / ts) + self.dt / ts * node.w_in * x
            else:
                through = self.dt / tau
                self.i[name] = i + self.dt / ts * (-i + node.w_in * x)
            v = decay * v + (1 - decay) * node.v_leak + through * node.r * i
        else:
            v = decay * v + (1 - decay) * (node.v_leak + node.r * x)
        self.trace[name, t] = v
        if not kind.endswith("LIF"):
            self.v[name] = v
            return v
        z = v > node.v_threshold
        self.v[name] = np.where(z, node.v_reset, v)
        return z.astype(float)
