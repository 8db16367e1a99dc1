"""NIR graphs read into networks: neurons, and what lies between them multiplied out to synapses with delays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Sparse
from ..delays import MAX_DELAY
from ..errors import GennDelaysError, InvalidValueError, check_choice, check_real, check_switch
from ..network import Connection, Network, Population
from ..neurons import Input, SpikeInput
from ..plan.order import computation_order
from ..synapses import Exponential
from .flat import NEURONS, PORTS, Flat, flat, kind, metadata_of, size_of
from .neurons import Node, read_neuron
from .taps import Taps, joined, matrix_of, through
from .writer import SECOND, VERSION, is_ours

Array = npt.NDArray[Any]
_WHOLE = 1e-6
"""A delay may be off a whole number of steps by this."""


class Setting(NamedTuple):
    """Settings of what a graph does not say.

    Attributes:
        dt: ms; None where neither the graph nor the caller says it.
        integration: of neurons whose metadata do not say it.
        spike_inputs: whether inputs whose metadata do not say it are spikes.
        round_delays: whether delays need not be whole steps.
    """

    dt: float | None
    integration: str
    spike_inputs: bool
    round_delays: bool

    def step(self, name: str, node: str) -> float:
        """The time step, or an error that says which node needs it."""
        if self.dt is None:
            raise InvalidValueError(
                f"NIR node {name!r} of type {node} needs the length of a time step, which the graph does not say; give "
                "from_nir its dt in ms"
            )
        return self.dt


def from_nir(
    graph: Any,
    *,
    dt: float | None = None,
    integration: str = "linear_euler",
    spike_inputs: bool = False,
    round_delays: bool = False,
    seed: int = 0,
) -> Network:
    """A NIR graph as a network: one that :func:`.to_nir` wrote, with the same spikes, or another program's.

    ``LIF``, ``CubaLIF``, ``LI``, ``CubaLI``, ``IF`` and ``I`` become populations; ``Linear``, ``Affine``, ``Scale``,
    ``Delay`` and ``Flatten`` between them are multiplied out to synapses (entries of 0 are none), a bias to the
    target's bias current. Nested graphs are dissolved. A spike is the value 1 for one time step, and a connection of a
    population with itself without a delay gets one of one step, both as readers of NIR with time steps have it. Neurons
    begin at 0 and spike at ``v >= v_threshold``, where NIR says ``>``. A neuron that leads to an `Output` gets a
    readout: that of its metadata, else ``"var"``, or ``"spike_count"`` where it spikes.

    Args:
        graph: a ``nir.NIRGraph``; :func:`.read` takes a file.
        dt: length of a time step in ms that the network will be compiled with, for delays and exponential synapses;
            the graph's own where it says one.
        integration: ``"linear_euler"`` or ``"exact"``, of neurons whose metadata do not say it.
        spike_inputs: inputs are spikes in place of real numbers, where the graph does not say it.
        round_delays: round delays to whole steps; without it others are an error.
        seed: of the network, where the graph does not say it.

    Raises:
        InvalidValueError: something cannot be read; the message names the node, its type and what is allowed.
    """
    if not (hasattr(graph, "nodes") and hasattr(graph, "edges")):
        raise InvalidValueError(f"from_nir needs a nir.NIRGraph, got {type(graph).__name__}")
    metadata = metadata_of(graph)
    if is_ours(metadata) and int(metadata.get("version", 0)) != VERSION:
        raise InvalidValueError(
            f"the NIR graph has version {metadata.get('version')} of our encoding; this program reads {VERSION}"
        )
    if dt is not None:
        dt = check_real("dt", dt, 0.0, open_low=True)
    elif "dt" in metadata and is_ours(metadata):
        dt = check_real("dt of the NIR graph", float(metadata["dt"]), 0.0, open_low=True)
    check_choice("integration", integration, ("linear_euler", "exact"))
    check_switch("spike_inputs", spike_inputs)
    check_switch("round_delays", round_delays)
    setting = Setting(dt, integration, spike_inputs, round_delays)
    with _told():
        network = Network(int(metadata["seed"]) if is_ours(metadata) and "seed" in metadata else seed)
        with network:
            _Reader(flat(graph), setting).build()
    return network


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Any error of a graph's own objects, which may hold anything, as one of this library."""
    try:
        yield
    except (GennDelaysError, MemoryError):
        raise
    except Exception as error:
        raise InvalidValueError(
            f"the NIR graph is damaged: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


class _Reader:
    def __init__(self, graph: Flat, setting: Setting) -> None:
        self.graph, self.setting = graph, setting
        self.banks = {n for n, node in graph.nodes.items() if "neuron" in metadata_of(node) and kind(node) in PORTS}
        self.banks -= {n for n in self.banks if isinstance(metadata_of(graph.nodes[n])["neuron"], str)}
        self.nodes: dict[str, Node] = {}
        self.outputs: set[str] = set()
        self.made: dict[str, Population] = {}

    def build(self) -> None:
        """Make populations and connections in the open network."""
        nodes = self.graph.nodes
        self.nodes = {n: read_neuron(n, node, self.setting) for n, node in nodes.items() if kind(node) in NEURONS}
        inputs = [n for n, node in nodes.items() if kind(node) == "Input" and self._feeds(n)]
        ways = list(self._ways([*inputs, *self.nodes]))
        biases = self._biases()
        made = [n for n in nodes if n in inputs or n in self.nodes]
        for name in sorted(made, key=self._index):  # files have their nodes in the order of the alphabet
            self._population(name, name in self.outputs, biases.get(name))
        delays = [self._steps(*way) for way in ways]
        groups: dict[tuple[str, str, str | None], tuple[list[Taps], list[Array]]] = {}
        for (source, target, taps), steps in zip(ways, delays, strict=True):
            found = groups.setdefault((source, target, taps.connection), ([], []))
            found[0].append(taps)
            found[1].append(steps)
        for (source, target, _), (parts, parts_steps) in sorted(groups.items(), key=lambda item: item[1][0][0].rank):
            self._connect(source, target, joined(parts), np.concatenate(parts_steps))
        self._check_cycles()

    def _index(self, name: str) -> int:
        """A population's place among all, which the order of sums depends on; 0 where the file does not say it."""
        return int(metadata_of(self.graph.nodes[name]).get("index", 0))

    # --- ways from one population to another -------------------------------------------------------------------------

    def _feeds(self, name: str) -> bool:
        """True of an Input that is a population of its own: not an end of a bank, nor inside a nested graph."""
        metadata = metadata_of(self.graph.nodes[name])
        inner = bool(self.graph.before(name)) or "population" in metadata or "unused" in metadata
        return not inner and bool(self.graph.after[name])

    def _ways(self, sources: list[str]) -> Iterator[tuple[str, str, Taps]]:
        """Source, target and taps of every way between two populations."""
        nodes = self.graph.nodes
        for name in sources:
            for after in self.graph.after[name]:
                yield from self._follow(name, after, Taps.of(size_of(name, nodes[name])), (name,))
        for name in sorted(self.banks, key=list(nodes).index):
            if kind(nodes[name]) != "Input":
                continue
            metadata = metadata_of(nodes[name])
            source = str(metadata["population"])
            pre = self._indices(name, metadata["neuron"], source)
            for after in self.graph.after[name]:
                yield from self._follow(source, after, Taps.of(pre.size)._replace(pre=pre), (name,))

    def _follow(self, source: str, name: str, taps: Taps, passed: tuple[str, ...]) -> Iterator[tuple[str, str, Taps]]:
        node = self.graph.nodes[name]
        if name in self.nodes:
            yield source, name, taps
            return
        if name in passed:
            raise InvalidValueError(
                f"NIR nodes {', '.join(passed)} lie on a cycle without a neuron, which cannot be read"
            )
        taps = through(taps, name, node)
        if name in self.banks:
            metadata = metadata_of(node)
            target = str(metadata["population"])
            post = self._indices(name, metadata["neuron"], target)
            yield source, target, taps._replace(place=post[taps.place], size=size_of(target, self.graph.nodes[target]))
            return
        following = self.graph.after[name]
        if kind(node) == "Output" and not following:
            changed = [n for n in passed if kind(self.graph.nodes[n]) in ("Linear", "Affine", "Scale", "Delay")]
            if changed:
                raise InvalidValueError(
                    f"NIR node {name!r} of type Output is fed by {changed[-1]!r} of type "
                    f"{kind(self.graph.nodes[changed[-1]])}; allowed are outputs of neurons: {', '.join(NEURONS)}"
                )
            if "population" not in metadata_of(node):  # the end of a population whose banks begin elsewhere
                self.outputs.add(source)
        for after in following:
            yield from self._follow(source, after, taps, (*passed, name))

    def _indices(self, name: str, given: Any, population: str) -> Array:
        """The neurons of a bank's lines."""
        if population not in self.graph.nodes:
            raise InvalidValueError(
                f"NIR node {name!r}: its metadata name the population {population!r}, there is none"
            )
        found, size = np.asarray(given), size_of(population, self.graph.nodes[population])
        lines = size_of(name, self.graph.nodes[name])
        if found.shape != (lines,) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= size:
            raise InvalidValueError(
                f"NIR node {name!r}: the metadata 'neuron' must be {lines} whole numbers from 0 to {size - 1}"
            )
        return found.astype(np.int64)

    def _biases(self) -> dict[str, Array]:
        """The constant input current of every neuron node, by its name, ``[neuron]``."""
        found: dict[str, Array] = {}
        for name, node in self.graph.nodes.items():
            if kind(node) != "Affine":
                continue
            bias = np.asarray(node.bias, np.float64).ravel()
            if not np.isfinite(bias).all():
                raise InvalidValueError(f"NIR node {name!r}: bias must be finite real numbers")
            if bias.size != matrix_of(name, node).shape[0]:
                raise InvalidValueError(
                    f"NIR node {name!r}: bias must be {matrix_of(name, node).shape[0]} numbers, got {bias.size}"
                )
            every = Taps.of(bias.size)._replace(weight=bias)
            for after in self.graph.after[name]:
                for _, target, taps in self._follow(name, after, every, (name,)):
                    into = found.setdefault(target, np.zeros(taps.size))
                    np.add.at(into, taps.place, taps.weight)
        return found

    # --- what is made ------------------------------------------------------------------------------------------------

    def _population(self, name: str, output: bool, bias: Array | None) -> None:
        node = self.graph.nodes[name]
        metadata, size = metadata_of(node), size_of(name, node)
        shape = [int(n) for n in np.atleast_1d(metadata.get("shape", size))]
        if prod(shape) != size:
            raise InvalidValueError(f"NIR node {name!r}: the metadata 'shape' {shape} is not of its {size} neurons")
        own = str(metadata.get("name", name))
        if name not in self.nodes:
            spikes = metadata.get("neuron", "spike_input" if self.setting.spike_inputs else "input") == "spike_input"
            self.made[name] = Population(SpikeInput() if spikes else Input(), shape, own)
            return
        if bias is not None and bias.size != size:
            raise InvalidValueError(f"NIR node {name!r} has {size} neurons, and a bias of {bias.size} leads to it")
        read = self.nodes[name]
        self.made[name] = Population(read.neuron(output), shape, own, bias=read.bias(bias))

    def _steps(self, source: str, target: str, taps: Taps) -> Array:
        """Delays in time steps."""
        steps = taps.seconds
        if not steps.any():
            whole = np.zeros(steps.size, np.int64)
        else:
            exact = steps / (self.setting.step(f"{source} -> {target}", "Delay") * SECOND)
            whole = np.rint(exact).astype(np.int64)
            off = np.abs(exact - whole) > _WHOLE * np.maximum(exact, 1)
            if off.any() and not self.setting.round_delays:
                raise InvalidValueError(
                    f"NIR delays from {source!r} to {target!r}: {int(off.sum())} of {off.size} are no whole steps of "
                    f"{self.setting.dt:g} ms, the first {steps[off][0]:g} s; give another dt, or round_delays=True"
                )
        if whole.max(initial=0) > MAX_DELAY:
            raise InvalidValueError(
                f"NIR delays from {source!r} to {target!r} must be at most {MAX_DELAY} steps, got {whole.max()}"
            )
        return np.maximum(whole, 1) if source == target else whole

    def _connect(self, source: str, target: str, taps: Taps, steps: Array) -> None:
        what = f"NIR node {target!r} of type {kind(self.graph.nodes[target])}"
        if taps.size != size_of(target, self.graph.nodes[target]):
            raise InvalidValueError(
                f"{what} has {size_of(target, self.graph.nodes[target])} neurons, and is given {taps.size} values"
            )
        if not taps.pre.size:
            raise InvalidValueError(f"{what} is connected to {source!r} by weights of 0 alone")
        if kind(self.graph.nodes[source]) in ("LI", "CubaLI", "I"):
            raise InvalidValueError(
                f"NIR node {source!r} of type {kind(self.graph.nodes[source])} leads to {target!r}: it does not spike, "
                "so nothing can be connected to it; allowed are LIF, CubaLIF, IF and Input"
            )
        node = self.nodes[target]
        weight = node.weights(taps.weight, taps.place)
        pairs = taps.place * size_of(source, self.graph.nodes[source]) + taps.pre
        several = bool(np.unique(pairs).size < pairs.size)
        connectivity = Sparse(taps.pre, taps.place, weight, steps, multapses=several)
        synapse = "delta" if node.tau_syn is None else Exponential(node.tau_syn.tolist())
        Connection(self.made[source], self.made[target], connectivity, synapse, taps.connection)

    def _check_cycles(self) -> None:
        """Raise an error for a cycle without a delay: NIR does not say on which of its ways the time step lies."""
        network = next(iter(self.made.values())).network if self.made else None
        if network is None or not network.connections:
            raise InvalidValueError("the NIR graph connects no two populations, so there is nothing to read")
        groups, _ = computation_order(network)
        group = {index: number for number, members in enumerate(groups) for index in members}
        for c in network.connections:
            same = group.get(c.source.index, -1) == group.get(c.target.index, -2)
            if same and c.source is not c.target and int(c.draw().delay.min()) == 0:
                raise InvalidValueError(
                    f"NIR nodes {c.source.name!r} -> {c.target.name!r} lie on a cycle without a delay; put a Delay of "
                    "at least one time step between them"
                )
