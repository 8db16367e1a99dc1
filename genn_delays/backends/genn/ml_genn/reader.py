"""mlGeNN's networks read into ours."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, prod
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ....connectivity import Connectivity, Dense, FixedProbability, Sparse
from ....delays import NormalInt, UniformInt
from ....errors import InvalidValueError, check_real
from ....initializers import Normal, Uniform
from ....network import Connection, Network, Population
from ....neurons import (
    AdaptiveLeakyIntegrateFire,
    DynamicNeuron,
    IntegrateFire,
    LeakyIntegrate,
    LeakyIntegrateFire,
    SpikeInput,
)
from ....plan.order import computation_order
from ....synapses import Delta, Exponential, Synapse
from .network import MLGeNNNetwork, load

Array = npt.NDArray[Any]

READOUTS = {
    "AvgVar": "avg_var", "AvgVarExpWeight": "avg_var_exp_weight", "FirstSpikeTime": "first_spike_time",
    "MaxVar": "max_var", "SpikeCount": "spike_count", "SumVar": "sum_var", "Var": "var",
}  # fmt: skip
"""Our names of mlGeNN's readouts."""
NEURONS = ("SpikeInput", "LeakyIntegrateFire", "LeakyIntegrate", "AdaptiveLeakyIntegrateFire", "IntegrateFire")
CONNECTIVITY = ("Dense", "FixedProbability", "OneToOne")


def from_ml_genn(network: Any, dt: float = 1.0, seed: int = 0) -> Network:
    """An mlGeNN network (version 2) as one of ours. A network does not say its time step, and weights depend on it.

    With delta synapses the dynamics are the same, step for step, up to rounding: our neurons have
    ``integration="exact"``, and where mlGeNN adds a whole current in a step (``scale_i=False``), weights are divided by
    ``tau_mem (1 - exp(-dt / tau_mem))``, what ours is multiplied by. mlGeNN delivers a spike one step after it was
    sent, ours in the same step: our delays are mlGeNN's plus one.

    With exponential synapses delays are the same, as both deliver in the next step. Every step has the same input
    current in the mean (``scale_i=False`` of the synapse: weights times ``dt / (tau_syn (1 - exp(-dt / tau_syn)))``),
    but mlGeNN holds it within a step and ours lets it decay: membranes agree to first order in `dt`.

    Synapses that are given one by one are read as they are; real delays are rounded to whole steps. A connectivity or
    an initialiser is read as such, and drawn by our generator from `seed`, where mlGeNN draws with GeNN's: the
    distribution is the same, the synapses are not. `Uniform` delays become every whole number of their range, equally
    likely, `Normal` ones are rounded and cut off at 0 and ``max_delay_steps``. FirstSpikeTime is negative in mlGeNN.

    Args:
        network: mlGeNN's, with populations of known shapes; or what :func:`to_ml_genn` gave.
        dt: the length of a time step in ms that it is compiled with, above 0.
        seed: of our network.

    Raises:
        InvalidValueError: something has no counterpart; the message names it.
        BackendUnavailableError: mlGeNN 2.3 is not there.
    """
    load()
    import ml_genn

    if isinstance(network, MLGeNNNetwork):  # the result of to_ml_genn
        network = network.network
    if not isinstance(network, ml_genn.Network):
        raise InvalidValueError(f"from_ml_genn needs a Network of mlGeNN's, got {type(network).__name__}")
    dt = check_real("dt", dt, 0.0, open_low=True)
    result = Network(seed)
    names = _unique([p.name for p in network.populations]), _unique([c.name for c in network.connections])
    populations: dict[Any, Population] = {}
    with result:
        for p, name in zip(network.populations, names[0], strict=True):
            populations[p] = _population(p, name, dt)
        for c, name in zip(network.connections, names[1], strict=True):
            _connection(c, populations[c.source()], populations[c.target()], name, dt)
    _check_cycles(result)
    return result


def _unique(names: Sequence[str]) -> list[str | None]:
    """Names, with None in place of those that are not unique."""
    return [name if names.count(name) == 1 else None for name in names]


# --- populations -----------------------------------------------------------------------------------------------------


def _population(p: Any, name: str | None, dt: float) -> Population:
    what, neuron = f"mlGeNN population {p.name!r}", p.neuron
    kind = type(neuron).__name__
    if kind not in NEURONS:
        raise InvalidValueError(f"{what} of {kind} cannot be read; allowed: {', '.join(NEURONS)}")
    if p.shape is None:
        raise InvalidValueError(f"{what} has no shape; give it one")
    size = prod(p.shape)
    return Population(SpikeInput() if kind == "SpikeInput" else _neuron(what, neuron, kind, dt), size, name)


def _neuron(what: str, neuron: Any, kind: str, dt: float) -> DynamicNeuron:
    if kind == "IntegrateFire":
        values = {name: _value(what, getattr(neuron, name)) for name in ("v", "v_thresh", "v_reset")}
        return IntegrateFire(**values, readout=_readout(what, neuron))
    read: dict[str, Any] = {"tau_mem": _value(what, neuron.tau_mem), "v": _value(what, neuron.v)}
    read |= {"integration": "exact", "readout": _readout(what, neuron)}
    if kind != "AdaptiveLeakyIntegrateFire":
        read["scale_i"] = bool(neuron.scale_i)
    if kind == "LeakyIntegrate":
        if np.any(np.asarray(neuron.bias) != 0):
            raise InvalidValueError(f"{what} has bias {neuron.bias!r}, which cannot be read; allowed is 0")
        return LeakyIntegrate(**read)
    read |= {name: _value(what, getattr(neuron, name)) for name in ("v_thresh", "v_reset")}
    read |= {"relative_reset": bool(neuron.relative_reset), "tau_refrac": _refractory(what, neuron, dt)}
    if neuron.relative_reset and np.any(np.asarray(neuron.v_reset) != 0):
        raise InvalidValueError(
            f"{what} has relative_reset with v_reset {neuron.v_reset!r}, which cannot be read; allowed is v_reset 0"
        )
    if kind == "LeakyIntegrateFire":
        return LeakyIntegrateFire(**read)
    read |= {name: _value(what, getattr(neuron, name)) for name in ("tau_adapt", "beta", "a")}
    return AdaptiveLeakyIntegrateFire(**read)


def _readout(what: str, neuron: Any) -> str | None:
    if neuron.readout is None:
        return None
    kind = type(neuron.readout).__name__
    if kind not in READOUTS:
        raise InvalidValueError(f"{what} has readout {kind}, which cannot be read; allowed: {', '.join(READOUTS)}")
    return READOUTS[kind]


def _refractory(what: str, neuron: Any, dt: float) -> float | None:
    """A refractory period of as many whole steps as mlGeNN's neuron stands still."""
    if neuron.tau_refrac is None:
        return None
    if neuron.integrate_during_refrac:
        raise InvalidValueError(
            f"{what} has integrate_during_refrac, which cannot be read; allowed is a potential that stands still"
        )
    if not isinstance(neuron.tau_refrac, Real):
        raise InvalidValueError(
            f"{what} has tau_refrac {neuron.tau_refrac!r}, which cannot be read; allowed is a number"
        )
    return ceil(float(neuron.tau_refrac) / dt - 1e-3) * dt or None


def _value(what: str, value: Any) -> Any:
    """A number, an array or an initialiser of mlGeNN's as ours."""
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    if isinstance(value, Real):
        return float(value)
    return _initializer(what, value)


def _initializer(what: str, value: Any) -> Uniform | Normal:
    kind = type(value).__name__
    if kind == "Uniform":
        return Uniform(value.min, value.max)
    if kind == "Normal":
        return Normal(value.mean, value.sd)
    raise InvalidValueError(f"{what} has initialiser {kind}, which cannot be read; allowed: Uniform, Normal")


# --- connections -----------------------------------------------------------------------------------------------------


def _connection(c: Any, source: Population, target: Population, name: str | None, dt: float) -> None:
    what = f"mlGeNN connection {c.name!r}"
    synapse = _synapse(what, c.synapse)
    later = int(isinstance(synapse, Delta))  # ours delivers these at once, mlGeNN in the next step
    factor = _membrane_factor(c.target().neuron, dt) * _synapse_factor(c.synapse, dt)
    factor = np.broadcast_to(np.asarray(factor, dtype=np.float64).ravel(), target.size)
    pairs = _pairs(what, c.connectivity, source, target, bool((factor != factor[0]).any()))
    weight = _weight(what, c.connectivity.weight, factor, pairs)
    delay = _delay(what, c, later, pairs)
    limit = None if c.max_delay_steps is None else c.max_delay_steps + later
    connectivity: Connectivity
    if pairs is not None:
        repeated = np.unique(pairs[1] * source.size + pairs[0]).size < pairs[0].size
        connectivity = Sparse(*pairs, weight, delay, multapses=repeated)
    elif type(c.connectivity).__name__ == "Dense":
        connectivity = Dense(weight=weight, delay=delay)
    else:
        connectivity = FixedProbability(c.connectivity.p, weight=weight, delay=delay)
    Connection(source, target, connectivity, synapse, name, limit)


def _synapse(what: str, synapse: Any) -> Synapse:
    kind = type(synapse).__name__
    if kind == "Delta":
        return Delta()
    if kind != "Exponential":
        raise InvalidValueError(f"{what} has synapse {kind}, which cannot be read; allowed: Delta, Exponential")
    return Exponential(synapse.tau.ravel().tolist() if isinstance(synapse.tau, np.ndarray) else float(synapse.tau))


def _membrane_factor(neuron: Any, dt: float) -> Any:
    """The factor of weights onto a neuron with which a step's current moves our potential as mlGeNN's."""
    if type(neuron).__name__ == "IntegrateFire":
        return 1 / dt  # ours multiplies the current by dt
    tau = neuron.tau_mem
    return 1.0 if getattr(neuron, "scale_i", False) else 1 / (tau * (1 - np.exp(-dt / tau)))


def _synapse_factor(synapse: Any, dt: float) -> Any:
    """The factor of weights with which the mean current of a step is mlGeNN's."""
    if type(synapse).__name__ == "Delta" or synapse.scale_i:
        return 1.0
    return dt / (synapse.tau * (1 - np.exp(-dt / synapse.tau)))


def _pairs(
    what: str, connectivity: Any, source: Population, target: Population, varied: bool
) -> tuple[Array, Array] | None:
    """Source and target of every synapse, ``[synapse]``; None where a connectivity of ours draws them.

    Args:
        varied: weights onto different neurons are multiplied by different numbers.
    """
    kind = type(connectivity).__name__
    if getattr(connectivity, "pre_ind", None) is not None and getattr(connectivity, "post_ind", None) is not None:
        return np.asarray(connectivity.pre_ind, dtype=np.int64), np.asarray(connectivity.post_ind, dtype=np.int64)
    if kind not in CONNECTIVITY:
        raise InvalidValueError(
            f"{what} has connectivity {kind}, which cannot be read; allowed: {', '.join(CONNECTIVITY)} and pre_ind and "
            "post_ind given as arrays"
        )
    if kind == "OneToOne":
        return np.arange(source.size), np.arange(source.size)
    given = [isinstance(value, np.ndarray) for value in (connectivity.weight, connectivity.delay)]
    if kind == "Dense":
        if not varied and not any(given):
            return None
        pre, post = np.divmod(np.arange(source.size * target.size), target.size)
        return pre, post
    if any(given):
        raise InvalidValueError(f"{what} has FixedProbability with arrays of values, but no pre_ind and post_ind")
    if source is target and not connectivity.allow_self_connections:  # as if every neuron were not among its sources
        others, owner = source.size - 1, len(source.network.connections)
        drawn = FixedProbability(connectivity.p).pairs(others, source.size, source.network.seed, owner)
        post, pre = np.divmod(drawn, max(others, 1))
        return pre + (pre >= post), post
    return None


def _weight(what: str, weight: Any, factor: Array, pairs: tuple[Array, Array] | None) -> Any:
    """Weights in our unit: ``[synapse]``, a number or an initialiser.

    Args:
        factor: what mlGeNN's are multiplied by, ``[target neuron]``.
    """
    varied = bool((factor != factor[0]).any())
    if pairs is not None and (isinstance(weight, np.ndarray) or (varied and isinstance(weight, Real))):
        return _sized(what, "weights", weight, pairs[0].size) * factor[pairs[1]]
    if varied:
        raise InvalidValueError(
            f"{what} has weights {weight!r} onto neurons of different time constants, which cannot be read; allowed "
            "are arrays, or scale_i=True"
        )
    if isinstance(weight, Real):
        return float(weight) * float(factor[0])
    drawn = _initializer(what, weight)
    if isinstance(drawn, Uniform):
        return Uniform(drawn.low * factor[0], drawn.high * factor[0])
    assert isinstance(drawn, Normal)
    return Normal(drawn.mean * factor[0], drawn.sd * factor[0])


def _delay(what: str, c: Any, later: int, pairs: tuple[Array, Array] | None) -> Any:
    """Delays in time steps, `later` more than mlGeNN's: ``[synapse]``, a whole number or an initialiser."""
    delay, limit = c.connectivity.delay, c.max_delay_steps
    if isinstance(delay, np.ndarray):
        assert pairs is not None
        return np.rint(_sized(what, "delays", delay, pairs[0].size)).astype(np.int64) + later
    if isinstance(delay, Real):
        return round(float(delay)) + later
    drawn = _initializer(what, delay)
    if isinstance(drawn, Uniform):
        return UniformInt(ceil(drawn.low) + later, floor(drawn.high) + later)
    assert isinstance(drawn, Normal)
    if limit is None:
        raise InvalidValueError(f"{what} has delays {delay!r} without max_delay_steps, where they are cut off")
    return NormalInt(drawn.mean + later, drawn.sd, later, limit + later)


def _sized(what: str, name: str, values: Any, size: int) -> Array:
    """An array of one value a synapse, or one number for all."""
    array = np.full(size, float(values)) if isinstance(values, Real) else np.asarray(values, dtype=np.float64).ravel()
    if array.size != size:
        raise InvalidValueError(f"{what} has {array.size} {name}, allowed are {size}, one a synapse")
    return array


def _check_cycles(network: Network) -> None:
    """Raise an error for cycles without a delay: mlGeNN's exponential synapses allow them, ours need one step."""
    groups, _ = computation_order(network) if network.connections else ((), set())
    for c in network.connections:
        shortest = c.connectivity.delay_initializer.low
        if shortest < 1 and any(c.source.index in group and c.target.index in group for group in groups):
            raise InvalidValueError(
                f"connection {c.name!r} lies on a cycle with delay {shortest}, which cannot be read; allowed is 1 or "
                "more"
            )
