"""Networks written as NIR graphs (Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9).

NIR 1.0 has no sparse node, and its `Delay` delays a whole population. There are two encodings, docs/nir.md has them in
full:

``"sparse"``
    A connection of K synapses is a bank of K delay lines and K gains, open at both ends: ``Input [K] -> Delay [K] ->
    Scale [K] -> Output [K]``. Delays and weights are those of the nodes. NIR cannot say which neuron feeds which
    line: that is the metadata ``population`` and ``neuron`` of the bank's Input and Output. Memory is O(synapses).
``"dense"``
    Nodes of NIR alone: for every delay of a connection a `Delay` of the source population and a `Linear` with the
    weights of that delay, all added up by the target. Memory is O(delays x source x target).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..connectivity import Synapses
from ..errors import InvalidValueError, check_choice
from ..memory import check_host
from ..network import Connection, Network, Population
from ..neurons import Input, LeakyIntegrate, LeakyIntegrateFire, SpikeInput
from ..synapses import Delta, Exponential
from ..training.compiled_network import CompiledNetwork
from .library import load_nir
from .plain import Plain, plain

Array = npt.NDArray[Any]

ENCODINGS = ("sparse", "dense")
FORMAT = "genn_delays"
VERSION = 1
SECOND = 1e-3
"""Seconds in our unit of time, the ms: NIR's unit is the second."""


class Written(NamedTuple):
    """A network as a graph.

    Attributes:
        graph: a ``nir.NIRGraph``.
        left_out: synapses of weight 0 that the dense encoding has no entry for, by connection.
        merged: synapses of one pair and one delay that the dense encoding adds up, by connection.
    """

    graph: Any
    left_out: dict[str, int]
    merged: dict[str, int]


def to_nir(model: Network | CompiledNetwork | Plain, *, dt: float | None = None, encoding: str = "sparse") -> Any:
    """A network as a ``nir.NIRGraph``, with every synapse, its weight and its delay.

    Neurons become `LIF` and `LI`, or `CubaLIF` and `CubaLI` where their synapses are exponential, in seconds; a bias
    becomes `v_leak` (with exponential synapses an `Affine`). NIR says neither how a time step is computed nor how
    long it is: the metadata do (``dt`` in ms, ``integration``), with parameters in our units, so that
    :func:`.from_nir` gives a network with the same spikes.

    Args:
        model: a network, a compiled network (its trained synapses, batch norm folded) or what :func:`.quantise` gave.
        dt: length of a time step in ms, above 0; see :func:`.plain.plain`.
        encoding: ``"sparse"``, or ``"dense"`` for readers that know NIR's nodes alone.

    Raises:
        InvalidValueError: NIR cannot carry a neuron, a synapse or a setting; the message names it.
        OutOfMemoryError: the dense encoding needs more memory than there is.
        GennDelaysError: nir is not installed.
    """
    return written(plain(model, dt), encoding).graph


def written(model: Plain, encoding: str) -> Written:
    """A network as a graph, and what the encoding changes."""
    check_choice("encoding", encoding, ENCODINGS)
    writer = _Writer(load_nir(), model, dense=encoding == "dense")
    for p in model.network.populations:
        check_population(p)
    for p in model.network.populations:
        writer.population(p)
    if encoding == "dense":
        check_host({(f"connection {c.name!r}", "its matrices"): 4 * _matrices(c) for c in model.network.connections})
    for c in model.network.connections:
        (writer.bank if encoding == "sparse" else writer.matrices)(c)
    metadata = {
        "format": FORMAT, "version": VERSION, "encoding": encoding, "dt": model.dt, "time_unit": "s",
        "seed": model.network.seed,
    }  # fmt: skip
    graph = writer.nir.NIRGraph(nodes=writer.nodes, edges=writer.edges, metadata=metadata)
    return Written(graph, writer.left_out, writer.merged)


def _matrices(c: Connection) -> int:
    """The numbers of a connection's matrices."""
    return int(np.unique(c.draw().delay).size) * c.num_pairs


# --- what can be carried ---------------------------------------------------------------------------------------------

CARRIED = "LeakyIntegrateFire, LeakyIntegrate, Input and SpikeInput with delta or exponential synapses"


def check_population(p: Population) -> None:
    """Raise an error if NIR cannot carry a population.

    Raises:
        InvalidValueError: it names the population, what it has and what can be carried.
    """
    what, neuron = f"population {p.name!r}", p.neuron
    if type(neuron) not in (LeakyIntegrateFire, LeakyIntegrate, Input, SpikeInput):
        raise InvalidValueError(f"{what} of {type(neuron).__name__} cannot be carried by NIR; it can carry {CARRIED}")
    if p.drives:
        raise InvalidValueError(f"{what} has drives, which NIR cannot carry; give its input as a population")
    if p.batch_norm is not None:
        raise InvalidValueError(
            f"{what} has batch_norm, which NIR cannot carry: export the compiled network, which folds it into weights"
        )
    for c in p.incoming:
        if type(c.synapse) not in (Delta, Exponential):
            raise InvalidValueError(
                f"connection {c.name!r} with {type(c.synapse).__name__} synapses cannot be carried by NIR; it can "
                f"carry {CARRIED}"
            )
        if c.synapse != p.synapse:
            raise InvalidValueError(f"{what} has synapses of several models; a NIR node has one")
    if isinstance(neuron, (LeakyIntegrateFire, LeakyIntegrate)):
        _check_neuron(what, neuron)


def _check_neuron(what: str, neuron: LeakyIntegrateFire | LeakyIntegrate) -> None:
    if neuron.integration not in ("linear_euler", "exact"):
        raise InvalidValueError(
            f"{what} has integration {neuron.integration!r}, which cannot be carried; allowed: 'linear_euler', 'exact'"
        )
    if neuron.input_latency:
        raise InvalidValueError(
            f"{what} has input_latency {neuron.input_latency}, which NIR cannot carry; allowed is 0"
        )
    if not isinstance(neuron.v, float) or neuron.v != 0:
        raise InvalidValueError(f"{what} has an initial potential v other than 0, which NIR cannot carry")
    if isinstance(neuron, LeakyIntegrateFire):
        if neuron.relative_reset:
            raise InvalidValueError(
                f"{what} has relative_reset, which NIR cannot carry: its neurons are set to v_reset after a spike"
            )
        if neuron.tau_refrac is not None:
            raise InvalidValueError(f"{what} has tau_refrac, which NIR cannot carry; allowed is None")


# --- nodes -----------------------------------------------------------------------------------------------------------


class _Writer:
    """Nodes and edges of a graph in the making."""

    def __init__(self, nir: Any, model: Plain, *, dense: bool) -> None:
        self.nir, self.model, self.dense = nir, model, dense
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.names: dict[Population, str] = {}
        self.biased: dict[Population, Array] = {}
        self.left_out: dict[str, int] = {}
        self.merged: dict[str, int] = {}

    def free(self, name: str) -> str:
        """A node name like `name` with which no node begins: of letters that HDF5 takes for no path."""
        base = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        number, found = 1, base
        taken = {node.split(".")[0] for node in self.nodes}
        while found in taken:
            number += 1
            found = f"{base}_{number}"
        return found

    def chain(self, *names: str) -> None:
        self.edges += itertools.pairwise(names)

    def population(self, p: Population) -> None:
        """The node of a population, and the nodes that it begins and ends at."""
        name = self.names[p] = self.free(p.name)
        size = np.array([p.size])
        metadata: dict[str, Any] = {"name": p.name, "index": p.index, "shape": np.array(p.shape)}
        if p.neuron.is_input:
            metadata["neuron"] = "spike_input" if isinstance(p.neuron, SpikeInput) else "input"
            self.nodes[name] = self.nir.Input(input_type={"input": size}, metadata=metadata)
        else:
            self.nodes[name] = self._neuron(p, metadata)
        if not self.dense:
            if not p.neuron.is_input:
                self.nodes[f"{name}.in"] = self.nir.Input(input_type={"input": size}, metadata={"population": name})
                self.chain(f"{name}.in", name)
                if p in self.biased:
                    self._bias_bank(p, name)
            self.nodes[f"{name}.out"] = self.nir.Output(output_type={"output": size}, metadata={"population": name})
            self.chain(name, f"{name}.out")
        elif p.neuron.readout is not None:
            output = self.free(f"{name}_out")
            self.nodes[output] = self.nir.Output(output_type={"output": size})
            self.chain(name, output)

    def _neuron(self, p: Population, metadata: dict[str, Any]) -> Any:
        neuron, values = p.neuron, p.parameters()
        assert isinstance(neuron, (LeakyIntegrateFire, LeakyIntegrate))
        spiking, cuba = isinstance(neuron, LeakyIntegrateFire), isinstance(p.synapse, Exponential)
        metadata |= {"integration": neuron.integration, "scale_i": int(neuron.scale_i)}
        if neuron.readout is not None:
            metadata["readout"] = _readout(p)
        kept = ("tau_mem", "tau_syn", "bias")
        metadata["parameters"] = {key: values[key] for key in kept if key in values}
        tau, ones, zeros = values["tau_mem"], np.ones(p.size), np.zeros(p.size)
        resistance = ones if neuron.scale_i else tau
        fields: dict[str, Any] = {"r": resistance, "v_leak": zeros, "metadata": metadata}
        if "bias" in values and (cuba or self.dense):  # few programs read a v_leak
            self.biased[p] = values["bias"]
        elif "bias" in values:
            fields["v_leak"] = resistance * values["bias"]
        if spiking:
            fields |= {"v_threshold": values["v_thresh"], "v_reset": values["v_reset"]}
        if not cuba:
            return (self.nir.LIF if spiking else self.nir.LI)(tau=tau * SECOND, **fields)
        fields |= {"tau_syn": values["tau_syn"] * SECOND, "w_in": values["tau_syn"] / self.model.dt}
        return (self.nir.CubaLIF if spiking else self.nir.CubaLI)(tau_mem=tau * SECOND, **fields)

    def _bias_bank(self, p: Population, name: str) -> None:
        """A bias as an Affine of a single line of weight 0: one of all neurons would be a dense matrix."""
        self.nodes[f"{name}.bias_in"] = self.nir.Input(input_type={"input": np.array([1])}, metadata={"unused": 1})
        weight = np.zeros((p.size, 1), np.float32)
        self.nodes[f"{name}.bias"] = self.nir.Affine(weight=weight, bias=self.biased[p])
        self.chain(f"{name}.bias_in", f"{name}.bias", name)

    def _common(self, c: Connection) -> dict[str, Any]:
        found: dict[str, Any] = {"connection": c.name, "index": c.index}
        if c.name in self.model.scales:
            scale = self.model.scales[c.name]
            found |= {"weight_bits": scale.bits, "weight_scale": scale.scale}
        return found

    def bank(self, c: Connection) -> None:
        """The sparse encoding of a connection."""
        s, name, size = c.draw(), self.free(c.name), np.array([c.num_synapses])
        source = {"population": self.names[c.source], "neuron": s.pre}
        target = {"population": self.names[c.target], "neuron": s.post}
        self.nodes[f"{name}.in"] = self.nir.Input(input_type={"input": size}, metadata=source)
        self.nodes[f"{name}.delay"] = self.nir.Delay(s.delay * (self.model.dt * SECOND))
        self.nodes[f"{name}.weight"] = self.nir.Scale(s.weight, metadata=self._common(c))
        self.nodes[f"{name}.out"] = self.nir.Output(output_type={"output": size}, metadata=target)
        self.chain(*(f"{name}.{end}" for end in ("in", "delay", "weight", "out")))

    def matrices(self, c: Connection) -> None:
        """The dense encoding of a connection."""
        s, name = c.draw(), self.free(c.name)
        source, target = self.names[c.source], self.names[c.target]
        self._count(c, s)
        for delay in np.unique(s.delay):
            at = s.delay == delay
            weight = np.zeros((c.target.size, c.source.size), np.float32)
            np.add.at(weight, (s.post[at], s.pre[at]), s.weight[at])
            fields: dict[str, Any] = {"weight": weight, "metadata": self._common(c)}
            bias = self.biased.pop(c.target, None)
            node = self.nir.Linear(**fields) if bias is None else self.nir.Affine(bias=bias, **fields)
            matrix = self.free(f"{name}_weight_{delay}")  # no dot: some programs take what is before it for a module
            self.nodes[matrix] = node
            way = [source, matrix, target]
            if delay:
                line = self.free(f"{name}_delay_{delay}")
                self.nodes[line] = self.nir.Delay(np.full(c.source.size, delay * (self.model.dt * SECOND)))
                way.insert(1, line)
            self.chain(*way)

    def _count(self, c: Connection, s: Synapses) -> None:
        """Count the synapses that matrices do not keep."""
        again = (np.diff(s.post) == 0) & (np.diff(s.pre) == 0) & (np.diff(s.delay.astype(np.int64)) == 0)
        counts: tuple[tuple[dict[str, int], int], ...] = (
            (self.left_out, int((s.weight == 0).sum())), (self.merged, int(again.sum())),
        )  # fmt: skip
        for found, count in counts:
            if count:
                found[c.name] = count


def _readout(p: Population) -> str:
    readout = p.neuron.readout
    if not isinstance(readout, str):
        raise InvalidValueError(
            f"population {p.name!r} has readout {readout!r}, which cannot be carried; allowed are readouts by name"
        )
    return readout


def is_ours(metadata: Mapping[str, Any]) -> bool:
    """True of a graph that :func:`.to_nir` wrote."""
    return metadata.get("format") == FORMAT
