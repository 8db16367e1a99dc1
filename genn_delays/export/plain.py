"""A network to be exported: one with explicit synapses and learned values, and what was changed to get it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InvalidValueError, check_real, shown
from ..network import Network
from ..training.compiled_network import CompiledNetwork
from ..training.folding import fold_batch_norm
from .receipt import Change


class Scale(NamedTuple):
    """The grid of a connection's quantised weights: whole numbers of at most ``2^(bits-1) - 1``, times `scale`."""

    bits: int
    scale: float


class Plain(NamedTuple):
    """A network as chips and other simulators can have it.

    Attributes:
        network: without batch norm, dropout and delay kernels where it was compiled; synapses are the trained ones.
        dt: length of a time step in ms.
        changes: from what was given to `network`.
        scales: of quantised weights, by connection.
    """

    network: Network
    dt: float
    changes: tuple[Change, ...] = ()
    scales: dict[str, Scale] = {}  # noqa: RUF012 - never written to


def plain(model: Network | CompiledNetwork | Plain, dt: float | None = None) -> Plain:
    """A network to be exported.

    Args:
        model: a described network, a compiled one (its trained synapses, its batch norm folded into them), or what
            :func:`~genn_delays.export.quantise` gave.
        dt: length of a time step in ms, above 0; 1 for described networks where not given, and the compiled network's
            own, which it must equal.

    Raises:
        InvalidValueError: another object, or another dt than that of the compiled network.
    """
    if dt is not None:
        dt = check_real("dt", dt, 0.0, open_low=True)
    if isinstance(model, Network):
        return Plain(model, 1.0 if dt is None else dt, tuple(_kernels(model)))
    if isinstance(model, CompiledNetwork):
        model = _folded(model)
    if not isinstance(model, Plain):
        raise InvalidValueError(
            f"an export needs a Network, a compiled network or the result of quantise(), got {shown(model)}"
        )
    if dt is not None and dt != model.dt:
        raise InvalidValueError(f"dt must be that of the compiled network, {model.dt:g} ms, or left out; got {dt:g}")
    return model


def _folded(compiled: CompiledNetwork) -> Plain:
    network, broken = fold_batch_norm(compiled)
    changes = []
    for p in compiled.network.populations:
        if p.batch_norm is not None:
            size = sum(c.num_synapses for c in p.incoming)
            what = "batch norm multiplied into the weights onto it and a bias current"
            changes.append(Change(f"population {p.name!r}", "batch norm folded", p.size, p.size, what, size))
        if p.dropout:
            what = f"dropout {p.dropout:g} left out, as in evaluation"
            changes.append(Change(f"population {p.name!r}", "dropout left out", p.size, p.size, what))
    changes += _kernels(compiled.network)
    for c in compiled.network.connections:
        if c.name in broken:
            what = "source neurons break Dale's law: batch norm multiplies weights by negative numbers"
            changes.append(
                Change(f"connection {c.name!r}", "Dale's law broken", broken[c.name].size, c.source.size, what)
            )
    return Plain(network, compiled.dt, tuple(changes))


def _kernels(network: Network) -> list[Change]:
    """Delay kernels are left out, as evaluation leaves them out."""
    what = "delays rounded to whole steps, without their kernel, as in evaluation"
    counts = {c.name: c.num_synapses for c in network.connections if c.delay_kernel is not None}
    return [Change(f"connection {name!r}", "delays rounded", count, count, what) for name, count in counts.items()]
