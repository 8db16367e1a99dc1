"""Batch norm folded into weights and a bias current: a trained network as a plain one, for deployment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Sparse
from ..errors import InvalidValueError, shown
from ..network import Connection, Network, Population
from ..neurons import DynamicNeuron
from ..neurons.batch_norm import factor_and_offset
from .compiled_network import CompiledNetwork


class Folded(NamedTuple):
    """A folded network.

    Attributes:
        network: the trained network with explicit synapses, rounded delays, neither batch norm nor dropout nor delay
            kernels. Populations and connections keep their names; learned values are in their neurons.
        broken: by connection under Dale's law, whose source neurons have synapses of both signs now, because batch norm
            multiplies their weights by a negative number. Connections that keep the law are not in it.
    """

    network: Network
    broken: dict[str, npt.NDArray[np.int64]]


def fold_batch_norm(compiled: CompiledNetwork) -> Folded:
    """The trained network with batch norm ``I' = factor I + offset`` folded into weights and a bias current.

    A synapse of weight w onto a normalised neuron becomes ``factor w``, the neuron's bias current ``offset``, from the
    running averages: what :meth:`CompiledNetwork.evaluate` computes, but for the rounding of ``factor w``.
    """
    if not isinstance(compiled, CompiledNetwork):
        raise InvalidValueError(
            f"fold_batch_norm needs a compiled network, what compile() returned; got {shown(compiled)}"
        )
    old, broken = compiled.network, {}
    network, populations, synapses = Network(seed=old.seed), [], []
    factors: dict[int, npt.NDArray[Any]] = {}
    with network:
        for p, plan in zip(old.populations, compiled.plan.populations, strict=True):
            values, bias = compiled.populations[p.index].values, plan.values.get("bias")
            if plan.batch_norm is not None:
                scale, shift, mean, var = (values[f"batch_norm_{n}"] for n in ("scale", "shift", "mean", "var"))
                factors[p.index], bias = factor_and_offset(scale, shift, mean, var, plan.batch_norm.epsilon)
            neuron = p.neuron
            learned = {n: v.astype(np.float64) for n, v in values.items() if not n.startswith("batch_norm")}
            synapses.append(p.synapse.with_parameters(learned))
            own = {name: value for name, value in learned.items() if name not in p.synapse.parameter_values()}
            if own and isinstance(neuron, DynamicNeuron):
                neuron = neuron.with_parameters(own)
            populations.append(Population(neuron, p.shape, p.name, bias=0.0 if bias is None else bias))
        for c, plan_c in zip(old.connections, compiled.plan.connections, strict=True):
            s = compiled.synapses(c)
            weight = s.weight * factors[c.target.index][s.post] if c.target.index in factors else s.weight
            both = np.intersect1d(s.pre[weight > 0], s.pre[weight < 0])
            if plan_c.pre_sign is not None and both.size:
                broken[c.name] = both.astype(np.int64)
            connectivity = Sparse(s.pre, s.post, weight, s.delay, multapses=c.connectivity.synapses_per_pair() > 1)
            source, target = populations[c.source.index], populations[c.target.index]
            Connection(source, target, connectivity, synapses[c.target.index], c.name, c.max_delay_steps)
    return Folded(network, broken)
