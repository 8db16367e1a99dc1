"""A trained network as one that can be simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..drives import StepCurrent
from ..errors import InvalidValueError, shown
from ..initializers import as_array
from ..network import Connection, Network, Population
from ..neurons import Input, SpikeSource
from ..synapses import Delta
from ..training.compiled_network import CompiledNetwork
from ..training.data import find_population
from ..training.folding import fold_batch_norm


def trained_network(compiled: CompiledNetwork, inputs: Mapping[Any, Any] | None = None) -> Network:
    """The network that was trained, as a plain description that :class:`~genn_delays.SimulationCompiler` takes.

    Its synapses are those there are now, with delays rounded to time steps, batch norm folded into weights and a bias
    (:func:`~genn_delays.fold_batch_norm`), learned values in the neurons, and no dropout. Populations and connections
    keep their names. Simulate it in steps of ``compiled.dt``: its delays are in these.

    A simulation has no population of real values. Of ``Input()`` they are given here, and become the current that they
    make at each neuron, ``I_i[t] = sum_k w_k x_pre(k)[t - d_k]``, as a :class:`~genn_delays.StepCurrent`; so they must
    come through ``"delta"`` synapses. The population stays, and is silent.

    Args:
        compiled: a network compiled for training or inference, trained, or with a checkpoint loaded.
        inputs: by population of ``Input()`` (or its name) real values ``[time, neuron]``, or ``[example, time,
            neuron]`` of examples one after the other, whose input ends with each.

    Raises:
        InvalidValueError: values are missing, do not fit, or come through other synapses.
    """
    if not isinstance(compiled, CompiledNetwork):
        raise InvalidValueError(f"trained_network needs a compiled network, got {shown(compiled)}")
    folded = fold_batch_norm(compiled).network
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidValueError(f"inputs must be a dict by population, got {shown(inputs)}")
    given = {find_population(compiled.network, key).index: x for key, x in (inputs or {}).items()}
    real = [p for p in folded.populations if isinstance(p.neuron, Input)]
    for index in given:
        if folded.populations[index] not in real:
            raise InvalidValueError(
                f"inputs: population {folded.populations[index].name!r} is not of real values; simulation.run is given "
                "its spikes"
            )
    values = {p.index: _values(p, given.get(p.index)) for p in real}
    lengths = {x.shape[:2] for x in values.values()}
    if len(lengths) > 1:
        raise InvalidValueError(f"inputs must have equal numbers of examples and steps, got {sorted(lengths)}")
    return _with_currents(folded, values) if real else folded


def _values(p: Population, x: Any) -> npt.NDArray[np.float64]:
    """Real values of an input, ``[example, time, neuron]``."""
    if x is None:
        raise InvalidValueError(
            f"population {p.name!r}: Input() sends real values, simulations send spikes: give its values beforehand, "
            f"trained_network(compiled, {{{p.name!r}: x}}), and they become currents"
        )
    found = as_array(f"inputs of population {p.name!r}", x)
    if found.ndim not in (2, 3) or found.shape[-1] != p.size or found.dtype.kind not in "iufb" or not found.size:
        raise InvalidValueError(
            f"inputs of population {p.name!r} must be numbers [time, {p.size}] or [example, time, {p.size}], got "
            f"{found.dtype} of shape {found.shape}"
        )
    if not np.isfinite(found).all():
        raise InvalidValueError(f"inputs of population {p.name!r} must be finite")
    return found.reshape(-1, *found.shape[-2:]).astype(np.float32).astype(np.float64)


def _with_currents(folded: Network, values: Mapping[int, npt.NDArray[np.float64]]) -> Network:
    """A folded network with the currents of its real-valued inputs in their place."""
    found, currents = Network(seed=folded.seed), dict[int, npt.NDArray[np.float64]]()
    for c in folded.connections:
        if c.source.index in values:
            if not isinstance(c.synapse, Delta):
                raise InvalidValueError(
                    f"connection {c.name!r}: real values of {c.source.name!r} come through synapse "
                    f"{type(c.synapse).__name__}, simulations take them through 'delta' synapses alone"
                )
            own, before = _current(c, values[c.source.index]), currents.get(c.target.index)
            currents[c.target.index] = own if before is None else before + own
    with found:  # every population keeps its number, on which its parameters depend
        for p in folded.populations:
            neuron = SpikeSource([], []) if p.index in values else p.neuron
            drives = [StepCurrent(currents[p.index].reshape(-1, p.size))] if p.index in currents else []
            Population(neuron, p.shape, p.name, bias=p.bias, drives=drives)
        for c in folded.connections:
            if c.source.index not in values:
                source, target = (found.populations[q.index] for q in (c.source, c.target))
                Connection(source, target, c.connectivity, c.synapse, c.name, c.max_delay_steps)
    return found


def _current(c: Connection, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The current that real values make at the targets of a connection, ``[example, time, neuron]``."""
    from scipy.sparse import csr_array

    s, (examples, steps, _) = c.synapses, x.shape
    found = np.zeros((examples, steps, c.target.size))
    for d in np.unique(s.delay[s.delay < steps]):
        own = s.delay == d
        weight = csr_array(
            (s.weight[own].astype(np.float64), (s.pre[own], s.post[own])), (c.source.size, c.target.size)
        )
        found[:, d:] += (x[:, : steps - d].reshape(-1, c.source.size) @ weight).reshape(examples, steps - d, -1)
    return found
