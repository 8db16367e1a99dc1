"""Networks as mlGeNN describes them: ours written for its EventProp compiler. (:mod:`.reader` reads them.)

mlGeNN 2's own names are in this module, the reader and :mod:`.model`, and nowhere else: version 3 has others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ....connectivity import Synapses
from ....errors import BackendUnavailableError, InvalidValueError, shown
from ....network import Connection, Network, Population
from ....neurons import LeakyIntegrate, LeakyIntegrateFire, SpikeInput
from ....plan.compiled import Compiled
from ....synapses import Exponential
from .. import packages

Array = npt.NDArray[Any]

READOUTS = {
    LeakyIntegrate: ("avg_var", "avg_var_exp_weight", "max_var", "sum_var", "var"),
    LeakyIntegrateFire: ("first_spike_time",),
}
"""Readouts that mlGeNN's EventProp supports; mlGeNN has the same names."""
MAX_DELAY = 65_534
"""mlGeNN's buffers have at most 65,535 slots, the first of which is a delay of 0."""


class MLGeNNNetwork(NamedTuple):
    """A network of mlGeNN's, and what our populations and connections are in it."""

    network: Any
    populations: dict[Population, Any]
    connections: dict[Connection, Any]


def load() -> None:
    """Make sure that mlGeNN 2 can be imported.

    Raises:
        BackendUnavailableError: it cannot, or it is a version whose networks are described otherwise.
    """
    packages.load("ml_genn")
    found = packages.version("ml_genn")
    if not found.startswith("2."):
        raise BackendUnavailableError(
            f"mlGeNN {found} describes networks otherwise than version 2, which this needs (2.3 or later): "
            f"{packages.PAGES['ml_genn']}"
        )


def to_ml_genn(network: Network | Compiled) -> MLGeNNNetwork:
    """The same network as one of mlGeNN's, ready for its EventPropCompiler; its synapses are given one by one.

    Of a compiled network the synapses are those that training has left, and learned delays are carried as real numbers.
    Delays mean the same: a spike of step t is on the membrane in step t + delay + 1 on both sides. The membranes agree
    to first order in dt, as mlGeNN holds the input current within a step. Where our neurons have ``scale_i=False``,
    weights are multiplied by the `tau_mem` of their target, since mlGeNN's EventProp needs ``scale_i=True``.

    Args:
        network: its populations are :class:`SpikeInput`, :class:`LeakyIntegrateFire` (absolute reset to 0) and
            :class:`LeakyIntegrate`, its synapses :class:`Exponential`.

    Returns:
        mlGeNN's network as `network`, and by our populations and connections mlGeNN's, as `populations` and
        `connections`.

    Raises:
        InvalidValueError: something cannot be carried; nothing has been made then.
        BackendUnavailableError: mlGeNN 2.3 is not there.
    """
    if isinstance(network, Compiled):
        compiled, network = network, network.network
        synapses = [compiled.synapses(c) for c in network.connections]
        delays: list[Array] = [compiled.delays(c) for c in network.connections]
        learned = [state.values for state in compiled.populations]
    elif isinstance(network, Network):
        synapses = [c.synapses for c in network.connections]
        delays, learned = [s.delay for s in synapses], [{} for _ in network.populations]
    else:
        raise InvalidValueError(f"to_ml_genn needs a Network or a compiled network, got {shown(network)}")
    values = [p.parameters() | dict(own) for p, own in zip(network.populations, learned, strict=True)]
    return carry(network, synapses, delays, values)


def weight_factor(target: Population, values: dict[str, Array]) -> float:
    """The factor of weights onto a population for mlGeNN, whose EventProp divides the current by `tau_mem`."""
    return 1.0 if getattr(target.neuron, "scale_i", True) else float(values["tau_mem"][0])


def carry(
    network: Network, synapses: Sequence[Synapses], delays: Sequence[Array], values: Sequence[dict[str, Array]]
) -> MLGeNNNetwork:
    """A network with these synapses, as mlGeNN's.

    Args:
        delays: by connection, time steps ``[synapse]``; real numbers where they are learned.
        values: by population its parameters, ``[neuron]`` each.
    """
    load()
    import ml_genn
    from ml_genn.connectivity import FixedProbability
    from ml_genn.synapses import Exponential as MLGeNNExponential

    for p, own in zip(network.populations, values, strict=True):
        _check_population(p, own)
    for c, s in zip(network.connections, synapses, strict=True):
        _check_connection(c, s)
    described = MLGeNNNetwork(ml_genn.Network(), {}, {})
    names = _names(p.name for p in network.populations), _names(c.name for c in network.connections)
    with described.network:
        for p, own, name in zip(network.populations, values, names[0], strict=True):
            described.populations[p] = ml_genn.Population(_neuron(p, own), p.size, name=name)
        for c, s, delay, name in zip(network.connections, synapses, delays, names[1], strict=True):
            own = values[c.target.index]
            weight = (s.weight * np.float32(weight_factor(c.target, own))).astype(np.float32)
            connectivity = FixedProbability(s.pre.size / c.num_pairs, weight, True, np.array(delay))
            connectivity.pre_ind, connectivity.post_ind = np.array(s.pre), np.array(s.post)
            described.connections[c] = ml_genn.Connection(
                described.populations[c.source], described.populations[c.target], connectivity,
                MLGeNNExponential(float(own["tau_syn"][0]), scale_i=True), name, c.max_delay_steps,
            )  # fmt: skip
    return described


def _neuron(p: Population, values: dict[str, Array]) -> Any:
    """A population's neurons as mlGeNN's; all that its EventProp relies on is given, whatever the defaults are."""
    from ml_genn import neurons

    if isinstance(p.neuron, SpikeInput):
        return neurons.SpikeInput()
    membrane = {"v": _plain(values["v"]), "tau_mem": float(values["tau_mem"][0]), "scale_i": True}
    if isinstance(p.neuron, LeakyIntegrate):
        return neurons.LeakyIntegrate(bias=0.0, readout=p.neuron.readout, **membrane)
    assert isinstance(p.neuron, LeakyIntegrateFire)
    return neurons.LeakyIntegrateFire(
        v_thresh=_plain(values["v_thresh"]), v_reset=0.0, tau_refrac=None, relative_reset=False,
        integrate_during_refrac=False, readout=p.neuron.readout, **membrane,
    )  # fmt: skip


def _plain(values: Array) -> float | Array:
    """One number where all neurons have the same."""
    return float(values[0]) if (values == values[0]).all() else values


def _names(names: Iterable[str]) -> list[str]:
    """Names of letters, digits and underscores, each of them once, as GeNN wants them."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        free, number = plain, 1
        while free in found:
            number += 1
            free = f"{plain}_{number}"
        found.append(free)
    return found


def _check_population(p: Population, values: dict[str, Array]) -> None:
    """Raise an error if mlGeNN's EventProp does not support a population."""
    what, neuron = f"population {p.name!r}", p.neuron
    if type(neuron) is SpikeInput:
        return
    if type(neuron) not in READOUTS:
        raise _not_carried(what, type(neuron).__name__, "SpikeInput, LeakyIntegrateFire and LeakyIntegrate")
    assert isinstance(neuron, (LeakyIntegrate, LeakyIntegrateFire))
    allowed = READOUTS[type(neuron)]
    if neuron.readout is not None and neuron.readout not in allowed:
        raise _not_carried(what, f"readout {neuron.readout!r}", ", ".join(repr(name) for name in allowed))
    if neuron.readout is None and isinstance(neuron, LeakyIntegrate):
        raise _not_carried(what, "LeakyIntegrate without a readout", ", ".join(repr(name) for name in allowed))
    unwanted = {
        f"input_latency {neuron.input_latency}": neuron.input_latency,
        "batch norm": p.batch_norm is not None,
        f"dropout {p.dropout:g}": p.dropout,
        "a bias": p.bias is not None,
    }
    for feature, there in unwanted.items():
        if there:
            raise _not_carried(what, feature, "populations without it")
    if isinstance(neuron, LeakyIntegrateFire):
        if neuron.relative_reset or (values["v_reset"] != 0).any():
            reset = "relative_reset=True" if neuron.relative_reset else f"v_reset {_wrong(values['v_reset'], 0)}"
            raise _not_carried(what, reset, "an absolute reset to 0")
        if neuron.tau_refrac is not None:
            raise _not_carried(what, f"tau_refrac {neuron.tau_refrac!r}", "neurons without a refractory period")
    if not isinstance(p.synapse, Exponential):
        raise _not_carried(what, f"synapse {type(p.synapse).__name__}", "Exponential")
    for name in ("tau_mem", "tau_syn"):
        tau = values[name]
        if (tau != tau[0]).any():
            raise _not_carried(what, f"{name} from {tau.min():g} to {tau.max():g}", "one time constant for all neurons")
    if values["tau_mem"][0] == values["tau_syn"][0]:
        raise _not_carried(what, f"tau_mem = tau_syn = {values['tau_mem'][0]:g}", "time constants that differ")


def _wrong(values: Array, right: float) -> str:
    """The first of some numbers that is not the right one."""
    return f"{values[values != right][0]:g}"


def _check_connection(c: Connection, s: Synapses) -> None:
    """Raise an error if mlGeNN's EventProp does not support a connection."""
    what = f"connection {c.name!r}"
    if c.delay_kernel is not None:
        raise _not_carried(what, type(c.delay_kernel).__name__, "connections without a delay kernel")
    if s.pre.size == 0:
        raise _not_carried(what, "0 synapses", "at least one")
    if c.max_delay_steps > MAX_DELAY:
        raise _not_carried(what, f"max_delay_steps {c.max_delay_steps}", f"at most {MAX_DELAY}")


def _not_carried(what: str, found: str, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"{what} has {found}, which mlGeNN's EventProp does not; allowed: {allowed}")
