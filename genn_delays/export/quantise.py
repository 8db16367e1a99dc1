"""Weights rounded to a chip's grid, and delays to its range where that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..connectivity import Sparse, Synapses
from ..delays import MAX_DELAY
from ..errors import InvalidValueError, check_choice, check_count
from ..network import Connection, Network, Population
from ..training.compiled_network import CompiledNetwork
from .plain import Plain, Scale, plain
from .receipt import Change

Array = npt.NDArray[Any]
DELAYS = ("clip", "rescale")
BITS = (2, 16)


def quantise(
    model: Network | CompiledNetwork | Plain,
    *,
    bits: int | None = 8,
    max_delay: int | None = None,
    delays: str = "clip",
    dt: float | None = None,
) -> Plain:
    """A network with weights of few bits and, where asked, with shorter delays; what was given stays as it is.

    Weights of a connection become ``q scale`` with whole numbers q, ``|q| <= 2^(bits-1) - 1``, and one scale, the
    largest weight over that number, so that 0 is 0 (symmetric). No synapse changes its sign; one that is rounded to 0
    stays in the network with the sign of its weight.

    Args:
        model: a network, a compiled network (its trained synapses, batch norm folded), or what this gave before.
        bits: of a weight, the sign included, from 2 to 16; None leaves weights alone.
        max_delay: no delay is longer than so many time steps afterwards; None leaves delays alone.
        delays: ``"clip"``: longer ones become `max_delay`; ``"rescale"``: all of a connection with a longer one are
            multiplied by the same number, and rounded. A delay of at least 1 stays at least 1.
        dt: of a described network, see :func:`.plain.plain`.

    Returns:
        The network, with `changes` and `scales`; compile ``result.network`` to evaluate it.

    Raises:
        InvalidValueError: a number is out of range, or a described network has batch norm.
    """
    if bits is not None:
        check_count("bits", bits, *BITS)
    if max_delay is not None:
        check_count("max_delay", max_delay, 1, MAX_DELAY)
    check_choice("delays", delays, DELAYS)
    given = plain(model, dt)
    for p in given.network.populations:
        if p.batch_norm is not None:
            raise InvalidValueError(
                f"population {p.name!r} has batch_norm: quantise the compiled network, which folds it into weights"
            )
    changes, scales, synapses = list(given.changes), dict(given.scales), []
    for c in given.network.connections:
        found = c.draw()
        if max_delay is not None:
            found = _shorter(c, found, max_delay, delays, changes)
        if bits is not None:
            found, scale = _rounded(c, found, bits, changes)
            if scale:
                scales[c.name] = Scale(bits, scale)
        synapses.append(found)
    return Plain(_copied(given.network, synapses), given.dt, tuple(changes), scales)


def _rounded(c: Connection, s: Synapses, bits: int, changes: list[Change]) -> tuple[Synapses, float]:
    """Synapses with their weights on the grid, and its scale; 0 where all weights are 0."""
    weight, most = s.weight.astype(np.float64), 2 ** (bits - 1) - 1
    scale = float(np.abs(weight).max()) / most
    if scale == 0:
        return s, 0.0
    rounded = np.copysign(np.rint(np.abs(weight) / scale) * scale, weight).astype(np.float32)
    error = float(np.abs(rounded - weight).max())
    where, size = f"connection {c.name!r}", weight.size
    text = f"to {bits} bits, whole multiples of {scale:.6g} from -{most} to {most}; largest change {error:.3g}"
    changes.append(Change(where, "weights quantised", int((rounded != s.weight).sum()), size, text))
    zeros = int(((rounded == 0) & (weight != 0)).sum())
    if zeros:
        text = "synapses whose weight is below half a step; they stay, with their sign, and carry nothing"
        changes.append(Change(where, "weights rounded to 0", zeros, size, text))
    return s._replace(weight=rounded), scale


def _shorter(c: Connection, s: Synapses, limit: int, how: str, changes: list[Change]) -> Synapses:
    """Synapses with delays of at most `limit`."""
    delay = s.delay.astype(np.int64)
    largest = int(delay.max())
    if largest <= limit:
        return s
    if how == "clip":
        found, text = np.minimum(delay, limit), f"delays of {limit + 1} to {largest} steps to {limit}"
    else:
        found = np.maximum(np.rint(delay * (limit / largest)).astype(np.int64), np.minimum(delay, 1))
        text = f"delays of up to {largest} steps, times {limit}/{largest} and rounded"
    kind = "delays clipped" if how == "clip" else "delays rescaled"
    changes.append(Change(f"connection {c.name!r}", kind, int((found != delay).sum()), delay.size, text))
    return s._replace(delay=found.astype(np.uint16))


def _copied(old: Network, synapses: list[Synapses]) -> Network:
    """The same network with other weights and delays."""
    network, populations = Network(seed=old.seed), []
    with network:
        for p in old.populations:
            bias = 0.0 if p.bias is None else p.bias
            populations.append(Population(p.neuron, p.shape, p.name, bias=bias, dropout=p.dropout, drives=p.drives))
        for c, s in zip(old.connections, synapses, strict=True):
            again = (np.diff(s.post) == 0) & (np.diff(s.pre) == 0)
            connectivity = Sparse(s.pre, s.post, s.weight, s.delay, multapses=bool(again.any()))
            Connection(populations[c.source.index], populations[c.target.index], connectivity, c.synapse, c.name)
    return network
