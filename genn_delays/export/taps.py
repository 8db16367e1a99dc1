"""The synapses between two populations of a NIR graph: everything on the way from one to the other, multiplied out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, shown
from .flat import kind, metadata_of

Array = npt.NDArray[Any]


class Taps(NamedTuple):
    """Lines from a source population to the place that has been reached, one entry each.

    Attributes:
        pre: source neuron ``[tap]``.
        place: index where the tap has arrived ``[tap]``.
        weight: ``[tap]``, float64, or float32 where a single matrix of that precision was met.
        seconds: delay ``[tap]``.
        size: number of places.
        connection: the name of a connection in our files; None in others.
        rank: the connection's place among all.
    """

    pre: Array
    place: Array
    weight: Array
    seconds: Array
    size: int
    connection: str | None = None
    rank: int = 0

    @classmethod
    def of(cls, size: int) -> Taps:
        """Every neuron of a source at its own place."""
        every = np.arange(size)
        return cls(every, every, np.ones(size, np.float32), np.zeros(size), size)


def through(taps: Taps, name: str, node: Any) -> Taps:
    """Taps after they have passed a node without state.

    Raises:
        InvalidValueError: sizes do not fit, or a number is not finite.
    """
    if kind(node) in ("Input", "Output", "Flatten"):
        return taps
    metadata = metadata_of(node)
    if "connection" in metadata:
        taps = taps._replace(connection=str(metadata["connection"]), rank=int(metadata.get("index", 0)))
    if kind(node) == "Delay":
        delay = _numbers(name, "delay", node.delay, taps.size)
        if (delay < 0).any():
            raise InvalidValueError(f"NIR node {name!r}: delay must be at least 0 s, got {delay.min()}")
        return taps._replace(seconds=taps.seconds + delay[taps.place])
    if kind(node) == "Scale":
        return taps._replace(weight=taps.weight * _numbers(name, "scale", node.scale, taps.size)[taps.place])
    return _matrix(taps, name, node)


def _matrix(taps: Taps, name: str, node: Any) -> Taps:
    weight = matrix_of(name, node)
    if weight.shape[1] != taps.size:
        raise InvalidValueError(f"NIR node {name!r} takes {weight.shape[1]} values, and is given {taps.size}")
    meetings = np.count_nonzero(weight, axis=0)[taps.place].sum()
    if meetings > max(weight.size, taps.pre.size):  # several matrices on one way: their product has fewer entries
        return _product(taps, weight)
    place, source = np.nonzero(weight)
    order = np.argsort(source, kind="stable")  # a tap meets the entries of its column
    place, source = place[order], source[order]
    first = np.searchsorted(source, np.arange(taps.size + 1))
    counts = np.diff(first)[taps.place]
    tap = np.repeat(np.arange(taps.pre.size), counts)
    entry = np.arange(tap.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[taps.place][tap]
    values = weight[place[entry], source[entry]]
    found = taps.weight[tap] * values
    return taps._replace(
        pre=taps.pre[tap], place=place[entry], weight=found, seconds=taps.seconds[tap], size=weight.shape[0]
    )


def _product(taps: Taps, weight: Array) -> Taps:
    """Taps after a matrix, those of one pair and one delay added up."""
    from scipy.sparse import coo_array, csr_array

    matrix, parts, sources = csr_array(weight.astype(np.float64)), [], int(taps.pre.max()) + 1
    for seconds in np.unique(taps.seconds):
        at = taps.seconds == seconds
        entries = (taps.weight[at].astype(np.float64), (taps.place[at], taps.pre[at]))
        found = (matrix @ coo_array(entries, shape=(taps.size, sources)).tocsr()).tocoo()
        delays = np.full(found.nnz, seconds)
        parts.append(taps._replace(pre=found.col, place=found.row, weight=found.data, seconds=delays))
    return joined(parts)._replace(size=weight.shape[0])


def matrix_of(name: str, node: Any) -> Array:
    """The weights of a Linear or an Affine, ``[target, source]``."""
    weight = np.asarray(node.weight)
    if weight.ndim != 2:
        raise InvalidValueError(
            f"NIR node {name!r}: weight must be a matrix [target, source], got shape {weight.shape}"
        )
    if weight.dtype.kind not in "iuf" or not np.isfinite(weight).all():
        raise InvalidValueError(f"NIR node {name!r}: weight must be finite real numbers")
    return weight


def _numbers(name: str, what: str, values: Any, size: int) -> Array:
    """An array of one number a place; a single number is that of all."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InvalidValueError(f"NIR node {name!r}: {what} must be finite real numbers, got {shown(values)}")
    if array.size not in (1, size):
        raise InvalidValueError(f"NIR node {name!r} has {array.size} values of {what}, and is given {size}")
    return np.broadcast_to(array.ravel(), size)


def joined(parts: list[Taps]) -> Taps:
    """The taps of several ways; those of one pair and one delay that came on different ways are kept apart."""
    pre, place, weight, seconds = (np.concatenate([p[i] for p in parts]) for i in range(4))
    return parts[0]._replace(pre=pre, place=place, weight=weight, seconds=seconds)
