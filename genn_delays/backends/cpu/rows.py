"""The rows of a simulation, built from the rules of its connections, in parallel and without a second copy.

A row holds the synapses of one source neuron onto the neurons of one part of the network (those that a thread owns),
8 bytes each, sorted by the place in the ring of future input at which its spikes arrive, then by weight. As a multiset
they are ``connection.synapses``, whatever the number of threads.

Rows drawn by source need two passes over the same random numbers: one counts, one fills. Where sources are drawn by
target, the second pass also leaves targets in their rows. Distinct pairs out of all (``FixedProbability``,
``FixedNumber``) are chosen first, one connection at a time: as a bit for every pair where these are fewer than the
rows' own bits, otherwise as a list. Synapses that only their own NumPy code can draw are listed too.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.rows import GUIDE_BITS, Kind, Weight, emit_rows, emit_rows_structures
from ...connectivity import Sparse, Synapses
from ...connectivity.connectivity import Connectivity
from ...errors import CompileError, OutOfMemoryError
from ...floating import usual_errors
from ...initializers import Constant, KaimingUniform, Normal, NormalClipped, Uniform
from ...memory import SAMPLING, check_host, told
from ...network import Connection, Network
from ...random import uniform
from .compiler import load_library
from .structs import Arrays, address, structures

SYNAPSE = np.dtype([("weight", np.uint32), ("offset", np.uint32)])
"""A synapse in its row; the weight holds the bits of a float32 until :meth:`Rows.round`, then an int32."""
_EXACTLY = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_uint32)
MOST_PARTS = 256
FEW_BITS = 64
"""Pairs a chosen pair, up to which each has a bit: then the bits take no more than the rows."""
FEW_PAIRS = 1 << 20
"""Pairs of neurons, up to which each has a bit in any case."""
PAIR = 20
"""Bytes a listed pair, while pairs are drawn."""


@dataclass(frozen=True)
class Layout:
    """The places of neurons and of their inputs.

    Attributes:
        first: by population the number of its first neuron in the network; sources of one population follow each other.
        neurons: of the network.
        column: by connection the column of its first target neuron.
        columns: of the ring.
        slots: of the ring, more than the longest delay.
        low, high: ``[part][population]``: part k owns neurons ``low[k][p]`` to ``high[k][p]`` of population p.
    """

    first: Sequence[int]
    neurons: int
    column: Sequence[int]
    columns: int
    slots: int
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]


@dataclass
class Rows:
    """Rows of synapses, by part.

    Attributes:
        start: of every part the start of each neuron's row, int64 ``[neurons + 1]``.
        synapse: of every part its synapses, :data:`SYNAPSE` ``[synapse]``.
        largest: by connection the largest \\|weight\\|, float32.
    """

    start: list[npt.NDArray[np.int64]]
    synapse: list[npt.NDArray[Any]]
    largest: npt.NDArray[np.float32]
    _job: Job = field(repr=False)

    def sums(self, scale: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """By column the sum of ``ceil(|weight| scale)`` and the number of synapses.

        Args:
            scale: ``[column]``, powers of two for which the sums stay below 2^53.
        """
        net = self._job.net
        total, number = np.zeros(scale.size), np.zeros(scale.size, np.int64)
        net.scale, net.sum, net.number = address(scale), address(total), address(number)
        self._job.call("sum_weights")
        return total, number

    def checksum(self) -> int:
        """A number of 64 bits that tells these synapses from others, as they are now; for any number of parts."""
        self._job.call("check")
        return int(self._job.net.checksum)

    def round(self, scale: npt.NDArray[np.float64]) -> None:
        """Turn the weights, in place, into the whole numbers ``rint(weight scale)``, int32; once.

        Args:
            scale: ``[column]``, powers of two.
        """
        self._job.net.scale = address(scale)
        self._job.call("round_weights")


def foresee_rows(connections: Sequence[Connection], neurons: int, parts: int) -> dict[tuple[str, str], int]:
    """Bytes by connection and part that building takes at most, without those that stay in caches."""
    needs: dict[tuple[str, str], int] = {("the rows", "their starts"): 8 * parts * (neurons + 1)}
    temporary: dict[str, int] = {}
    for c in connections:
        what = f"connection {c.name!r}"
        needs[what, "the rows of synapses"] = SYNAPSE.itemsize * c.num_synapses
        needs[what, "the lengths of rows"] = 4 * parts * c.source.size
        kind = _kind(c, None)
        if kind in (Kind.PAIRS, Kind.LISTED):
            temporary[c.name] = (PAIR if kind == Kind.PAIRS else SAMPLING) * c.num_synapses
        elif kind == Kind.BITS:
            temporary[c.name] = c.num_pairs // 8
    if temporary:  # one after the other
        name = max(temporary, key=lambda name: temporary[name])
        needs[f"connection {name!r}", "its pairs while its rows are built"] = temporary[name]
    return needs


def build_rows(network: Network, layout: Layout, threads: int, given: Mapping[int, Synapses] | None = None) -> Rows:
    """Build the rows of all connections of a network.

    Args:
        network: its connections, whose synapses are functions of its seed and their indices.
        layout: where neurons are. ``layout.slots * layout.columns`` must be below 2^32.
        threads: that work; the rows do not depend on it.
        given: by connection synapses to take in place of those that its rule draws, sorted by target.

    Raises:
        OutOfMemoryError: the rows, or what is needed while they are built, do not fit.
    """
    given = {} if given is None else given
    parts = len(layout.low)
    check_host(foresee_rows(network.connections, layout.neurons, parts))
    assert parts <= MOST_PARTS and layout.slots * layout.columns <= 1 << 32
    job = Job(network, layout, threads, given)
    for k in range(len(network.connections)):
        job.count(k)
    job.call("start_rows")
    job.make_room()
    for k in reversed(range(len(network.connections))):  # the last one's pairs are still there
        job.fill(k)
    job.forget()
    job.longest(job.longest_row())
    job.call("finish")
    largest = np.array([job.connections[k].largest for k in range(len(network.connections))], np.uint32)
    start = [job.arrays[f"start {k}"] for k in range(parts)]
    return Rows(start, [job.arrays[f"rows of part {k}"] for k in range(parts)], largest.view(np.float32), job)


@cache
def _library() -> tuple[ctypes.CDLL, str]:
    library, path, _ = load_library(emit_rows())
    for name in (
        "count_drawn_sources",
        "choose",
        "start_rows",
        "sum_weights",
        "round_weights",
        "check",
        "pool_destroy",
    ):
        getattr(library, name).restype = None
    for name in ("count_connection", "fill_connection", "finish", "size_of_network"):
        getattr(library, name).restype = ctypes.c_int64
    library.pool_create.restype, library.pool_destroy.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return library, str(path)


class Job:
    """Structures and memory while rows are built, and for what is asked of them later."""

    def __init__(self, network: Network, layout: Layout, threads: int, given: Mapping[int, Synapses]) -> None:
        self.network, self.layout, self.threads, self.given = network, layout, threads, given
        self._library, path = _library()
        kinds = structures(emit_rows_structures())
        self.net, self.arrays = kinds["Network"](), Arrays("the simulation's rows")
        if self._library.size_of_network() != ctypes.sizeof(self.net):
            message = f"struct Network has {self._library.size_of_network()} bytes, not {ctypes.sizeof(self.net)}"
            raise CompileError("load", message, path)
        number, parts = len(network.connections), len(layout.low)
        self.connections, self.parts = (kinds["Connection"] * max(number, 1))(), (kinds["Part"] * parts)()
        self._listed: dict[str, npt.NDArray[Any]] = {}
        self._listed_of = -1
        net = self.net
        net.seed, net.neurons, net.columns, net.slots = network.seed, layout.neurons, layout.columns, layout.slots
        net.parts, net.num_connections = parts, number
        net.c, net.part = ctypes.addressof(self.connections), ctypes.addressof(self.parts)
        self._exactly = _EXACTLY(self.weight)
        net.exactly = ctypes.cast(self._exactly, ctypes.c_void_p)
        net.most_targets = max((max(c.source.size, c.target.size) for c in network.connections), default=1)
        targets = [c.target.index for c in network.connections]
        for k, part in enumerate(self.parts):
            for name, bounds in (("low", layout.low), ("high", layout.high)):
                setattr(part, name, self._keep(f"{name} {k}", bounds[k][targets], np.int64))
            part.start = self.arrays.new(f"start {k}", layout.neurons + 1, np.int64)
        self._fill_out()
        for k, c in enumerate(network.connections):
            self._describe(c, self.connections[k])

    def _keep(self, name: str, values: npt.NDArray[Any], dtype: Any) -> int:
        place = self.arrays.new(name, values.shape, dtype)
        self.arrays[name][...] = values
        return place

    def _fill_out(self) -> None:
        """The connections of every neuron, those onto lower columns first."""
        start, end = np.zeros(self.layout.neurons, np.int64), np.zeros(self.layout.neurons, np.int64)
        out: list[int] = []
        for p in self.network.populations:
            own = slice(self.layout.first[p.index], self.layout.first[p.index] + p.size)
            start[own] = len(out)
            out += sorted((c.index for c in p.outgoing), key=lambda index: (self.layout.column[index], index))
            end[own] = len(out)
        net = self.net
        net.out_start, net.out_end = self._keep("out_start", start, np.int64), self._keep("out_end", end, np.int64)
        net.out = self._keep("out", np.array(out, np.int64), np.int64)

    def _describe(self, c: Connection, view: Any) -> None:
        """Everything of a connection but what is listed."""
        connectivity, parts = c.connectivity, len(self.layout.low)
        view.kind, view.owner, view.kernel_count = _kind(c, self.given), c.index, connectivity.kernel_count
        view.first, view.column = self.layout.first[c.source.index], self.layout.column[c.index]
        view.num_pre, view.num_post = c.source.size, c.target.size
        view.held = self.arrays.new(f"held {c.index}", (parts, c.source.size), np.uint32, zero=True)
        if view.kind in (Kind.SOURCE, Kind.TARGET, Kind.BITS):
            draws = connectivity.draws(c.source.size, c.target.size, self.network.seed, c.index)
            assert draws is not None
            view.count, view.total = -1 if draws.count is None else draws.count, draws.total
            view.distinct, view.skip_self = draws.distinct, draws.skip_self
            if draws.count is None:
                view.row_count = self.arrays.new(f"row_count {c.index}", c.source.size, np.int64, zero=True)
        if view.kind == Kind.LISTED:
            return
        delays = connectivity.delay_initializer
        words = np.arange(1 << GUIDE_BITS, dtype=np.uint32) << np.uint32(32 - GUIDE_BITS)
        guide = np.searchsorted(delays.thresholds, words, side="right")
        view.delay_low, view.num_thresholds = delays.low, delays.thresholds.size
        view.threshold = self._keep(f"threshold {c.index}", delays.thresholds, np.uint32)
        view.guide = self._keep(f"guide {c.index}", guide, np.uint32)
        for name, value in _weights(connectivity, c.source.size).items():
            setattr(view, name, value)

    def weight(self, k: int, word: int) -> float:
        """The weight that a connection's initialiser has for a random word, rounded to single precision."""
        c = self.network.connections[k]
        u = uniform(np.array([word], np.uint32))
        fan_in = c.source.size * c.connectivity.kernel_count
        with usual_errors():
            return float(np.float32(c.connectivity.weight_initializer.quantile(u, fan_in)[0]))

    # --- steps -------------------------------------------------------------------------------------------------------

    def call(self, name: str) -> None:
        """Call a function of the library with a pool of threads of its own."""
        pool = self._library.pool_create(self.threads)
        if not pool:
            raise OutOfMemoryError(f"the system refused {self.threads} threads to build rows; use fewer threads")
        self.net.pool = pool
        try:
            done = getattr(self._library, name)(ctypes.byref(self.net))
        finally:
            self._library.pool_destroy(ctypes.c_void_p(pool))
            self.net.pool = None
        if name in ("count_connection", "fill_connection", "finish") and not done:
            raise OutOfMemoryError("not enough memory for one row of a simulation a thread; use fewer threads")

    def longest(self, count: int) -> None:
        """Prepare rows of at most so many synapses."""
        self.net.longest = max(count, 1)

    def count(self, k: int) -> None:
        """Count the synapses of a connection's rows."""
        view, self.net.now = self.connections[k], k
        if view.count < 0:
            self.call("count_drawn_sources")
        self._list(k)
        longest = int(self.arrays[f"row_count {k}"].max()) if view.count < 0 else view.count
        longest = {Kind.ALL: view.num_post, Kind.SAME: 1, Kind.BITS: view.num_pre}.get(view.kind, longest)
        self.longest(longest * view.kernel_count)
        self.call("count_connection")

    def make_room(self) -> None:
        """Memory for the synapses."""
        for k, part in enumerate(self.parts):
            size = int(self.arrays[f"start {k}"][-1])
            part.synapse = self.arrays.new(f"rows of part {k}", size, SYNAPSE)

    def longest_row(self) -> int:
        """The most synapses of a neuron, of all parts together."""
        starts = np.sum([self.arrays[f"start {k}"] for k in range(len(self.parts))], axis=0)
        return int(np.diff(starts).max())

    def fill(self, k: int) -> None:
        """Write what is not drawn by source into rows."""
        view, self.net.now = self.connections[k], k
        if view.kind in (Kind.TARGET, Kind.PAIRS, Kind.LISTED, Kind.BITS):
            self.longest((view.num_pre if view.kind == Kind.BITS else max(view.count, 1)) * view.kernel_count)
            self._list(k)
            self.call("fill_connection")

    def forget(self) -> None:
        """Drop what is listed."""
        self._listed.clear()
        self._listed_of = -1

    def _list(self, k: int) -> None:
        """Draw what is listed of a connection, in the place of what was listed of another one."""
        view, c = self.connections[k], self.network.connections[k]
        if self._listed_of == k or view.kind not in (Kind.PAIRS, Kind.LISTED, Kind.BITS):
            return
        self.forget()
        self._listed_of = k
        if view.kind == Kind.BITS:
            words = -(-view.num_post * (view.num_pre - view.skip_self) // 64)
            with told(f"the pairs of connection {c.name!r} need {words * 8 / 1e6:,.0f} MB"):
                self._listed["bits"] = bits = np.zeros(max(words, 1), np.uint64)
            view.chosen = address(bits)
            self.call("choose")
        elif view.kind == Kind.PAIRS:
            with usual_errors():
                pairs = c.connectivity.pairs(c.source.size, c.target.size, self.network.seed, c.index)
            self._listed["pairs"] = pairs = np.ascontiguousarray(pairs, np.int64)
            view.size, view.pairs = pairs.size, address(pairs)
        elif view.kind == Kind.LISTED:
            synapses = self.given[k] if k in self.given else c.draw()
            listed = {name: np.ascontiguousarray(getattr(synapses, name)) for name in Synapses._fields}
            self._listed.update(listed)
            view.size, view.pre, view.post = synapses.pre.size, address(listed["pre"]), address(listed["post"])
            view.delay, view.listed_weight = address(listed["delay"]), address(listed["weight"])


def _kind(c: Connection, given: Mapping[int, Synapses] | None) -> Kind:
    """The way in which a connection's pairs come to their rows."""
    connectivity = c.connectivity
    known = type(connectivity).sample is Connectivity.sample and not connectivity.distinct_delays
    known = known and not connectivity.own_values
    if (given and c.index in given) or not known or not _weights(connectivity, 1):
        return Kind.LISTED
    draws = connectivity.draws(c.source.size, c.target.size, c.network.seed, c.index)
    if draws is None or (draws.order == "pair" and c.num_pairs > max(FEW_BITS * draws.total, FEW_PAIRS)):
        return Kind.PAIRS
    return {"source": Kind.SOURCE, "target": Kind.TARGET, "all": Kind.ALL, "same": Kind.SAME, "pair": Kind.BITS}[
        draws.order
    ]


def _weights(connectivity: Connectivity, num_pre: int) -> dict[str, float]:
    """Members of the structure for an initialiser of weights; none where only its own NumPy code can draw them."""
    w, fan_in = connectivity.weight_initializer, num_pre * connectivity.kernel_count
    if isinstance(connectivity, Sparse):
        return {}
    if type(w) is Constant:
        return {"weight_kind": Weight.CONSTANT, "base": w.value}
    if type(w) is NormalClipped and w.sd == 0:
        return {"weight_kind": Weight.CONSTANT, "base": w.mean}
    if type(w) is Uniform:
        return {"weight_kind": Weight.AFFINE, "base": w.low, "span": w.high - w.low}
    if type(w) is KaimingUniform:
        return {"weight_kind": Weight.SYMMETRIC, "base": float(w.gain * np.sqrt(6.0 / fan_in))}
    if type(w) is Normal:
        return {"weight_kind": Weight.OTHER, "mean": w.mean, "sd": w.sd}
    if type(w) is NormalClipped:
        first, last = w.borders()
        low, high = (-np.inf if w.low is None else w.low), (np.inf if w.high is None else w.high)
        numbers = {"base": first, "span": last - first, "mean": w.mean, "sd": -w.sd if w.mirrored else w.sd}
        return {"weight_kind": Weight.NORMAL, **numbers, "low": low, "high": high}
    return {}
