"""Spatio-temporal receptive fields: which inputs excite or inhibit a neuron, and how long before it hears them.

Source: Mészáros, Knight & Nowotny 2024 (doi 10.3389/fncom.2024.1460309), Figure 1A. With one layer, the field of a
neuron has the sign of each of its synapses at the synapse's input and delay. With further layers, the fields of the
neurons that a neuron listens to are added up with the weights of its synapses, each shifted by its synapse's delay:
``F_o[j, d] = sum_i w_oi F_i[j, d - d_oi]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..connectivity import Synapses
from ..errors import InvalidValueError, check_choice, check_count, shown
from ..memory import check_host
from ..network import Connection, Network, Population
from ..training.compiled_network import CompiledNetwork

Field = npt.NDArray[np.float64]
Value = Literal["sign", "weight"]


@dataclass(frozen=True)
class ReceptiveFields:
    """Receptive fields of neurons of one population.

    Attributes:
        values: float64 ``[unit, input, delay]``; the delay in time steps is the index, so the last column is what the
            neurons hear from longest ago. A field has a column more than the largest delays on the way add up to.
        population, source: names of the neurons' population and of the inputs'.
        units: the neurons' numbers, int64 ``[unit]``.
        value: ``"sign"`` or ``"weight"``: what stands for a synapse of the inputs.
    """

    values: Field
    population: str
    source: str
    units: npt.NDArray[np.int64]
    value: str

    @property
    def over_time(self) -> Field:
        """The fields as a picture has them, ``[unit, input, time]``: time runs from left, longest ago, to right."""
        return self.values[:, :, ::-1]

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The times (steps) of the columns of :attr:`over_time`, from ``1 - columns`` to 0, when the neuron hears."""
        return np.arange(1 - self.values.shape[2], 1)

    def __len__(self) -> int:
        return len(self.units)


def receptive_fields(
    network: Network | CompiledNetwork,
    population: Population | str | None = None,
    units: Iterable[int] | None = None,
    *,
    source: Population | str | None = None,
    value: Value = "sign",
    truncate: int | None = None,
) -> ReceptiveFields:
    """The spatio-temporal receptive fields of neurons of a population, through all layers between.

    They are those of the synapses alone: membranes, batch norm and dropout are not in them. Several synapses of a pair
    add up, as do several paths. Delays are the whole ones that evaluation uses. Synapses of weight 0 count nothing; a
    newborn synapse of a rewiring rule has its sign, though its weight is tiny.

    Args:
        network: as described, or compiled: the synapses as they are now. Under Dale's law only a compiled network has
            the signs that training begins with.
        population: whose neurons; the only output where not given.
        units: their numbers; all where not given.
        source: the inputs; the only input population where not given.
        value: of a synapse of the inputs, ``"sign"`` as published, or ``"weight"``. Synapses of further layers count
            with their weights in both.
        truncate: the largest delay that is looked at, in time steps. Networks with cycles between the inputs and the
            neurons need it, as their fields have no end.

    Raises:
        InvalidValueError: there is no path from the inputs to the population, or one with a cycle and no `truncate`;
            or an argument does not fit.
        OutOfMemoryError: the fields do not fit into the memory.
    """
    described = network.network if isinstance(network, CompiledNetwork) else network
    if not isinstance(described, Network):
        raise InvalidValueError(f"receptive_fields needs a Network or a CompiledNetwork, got {shown(network)}")
    check_choice("value of receptive fields", value, ("sign", "weight"))
    of = _member(described, "population", population, described.outputs, "output")
    inputs = _member(described, "source", source, described.inputs, "input")
    if of is inputs or of.neuron.is_input:
        raise InvalidValueError(f"population {of.name!r} is an input; receptive fields are of neurons that listen")
    numbers = _units(of, units)
    between = _between(described, inputs, of)
    length = _length(between, inputs, of, truncate)
    synapses = {c: _signed(c, _synapses(network, c), inputs, value) for c in between}
    found = _Search(between, synapses, of, numbers, length).fields(inputs)
    return ReceptiveFields(found, of.name, inputs.name, numbers, value)


def _member(
    network: Network, what: str, given: Population | str | None, choice: list[Population], kind: str
) -> Population:
    """A population as it was given, or the only one of its kind."""
    if given is None:
        if len(choice) == 1:
            return choice[0]
        names = ", ".join(p.name for p in choice) or "none"
        raise InvalidValueError(f"{what} must be named where there is not one {kind}; the network's: {names}")
    found = network.find("population", given) if isinstance(given, str) else given
    if not isinstance(found, Population) or found not in network.populations:
        raise InvalidValueError(f"{what} {shown(given)} is no population of this network")
    return found


def _units(population: Population, units: Iterable[int] | None) -> npt.NDArray[np.int64]:
    if units is None:
        return np.arange(population.size)
    what, last = f"unit of population {population.name!r}", population.size - 1
    numbers = [check_count(what, unit, 0, last) for unit in units]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InvalidValueError(f"units must be different numbers from 0 to {last}, at least one, got {shown(numbers)}")
    return np.asarray(numbers, np.int64)


def _between(network: Network, source: Population, target: Population) -> list[Connection]:
    """The connections on paths from the inputs to the neurons."""
    heard, hearing = _reached(source, backward=False), _reached(target, backward=True)
    if target not in heard:
        raise InvalidValueError(
            f"no path of connections leads from {source.name!r} to {target.name!r}: its neurons have no receptive field"
        )
    inside = heard & hearing
    return [c for c in network.connections if c.source in inside and c.target in inside]


def _reached(begin: Population, *, backward: bool) -> set[Population]:
    found, todo = {begin}, [begin]
    while todo:
        here = todo.pop()
        ends = [c.source for c in here.incoming] if backward else [c.target for c in here.outgoing]
        fresh = [end for end in ends if end not in found]
        found.update(fresh)
        todo += fresh
    return found


def _length(between: list[Connection], source: Population, target: Population, truncate: int | None) -> int:
    """Columns of a field: one more than the largest delays on the way add up to, or than `truncate`."""
    if truncate is not None:
        truncate = check_count("truncate", truncate, 0)
    graph: dict[Population, set[Population]] = {target: set(), source: set()}
    for c in between:
        graph.setdefault(c.target, set()).add(c.source)
    loops = [c.name for c in between if c.source is c.target]
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError:
        order = []
    if loops or not order:
        if truncate is None:
            names = ", ".join(repr(name) for name in loops) or ", ".join(repr(c.name) for c in between)
            raise InvalidValueError(
                f"the receptive field of {target.name!r} has no end, as there is a cycle among the connections "
                f"{names}; give truncate, the largest delay (time steps) to be looked at"
            )
        return truncate + 1
    longest = {source: 0}
    for population in order:
        ways = [longest[c.source] + c.max_delay_steps for c in between if c.target is population]
        longest[population] = max(ways, default=0)
    return 1 + (longest[target] if truncate is None else min(longest[target], truncate))


def _synapses(network: Network | CompiledNetwork, connection: Connection) -> Synapses:
    return network.synapses(connection) if isinstance(network, CompiledNetwork) else connection.draw()


def _signed(connection: Connection, synapses: Synapses, source: Population, value: str) -> Synapses:
    """Synapses with the values that count in place of their weights."""
    if value == "sign" and connection.source is source:
        return synapses._replace(weight=np.sign(synapses.weight))
    return synapses


class _Search:
    """All paths from neurons back to the inputs, one connection at a time: a wave holds, for every population that it
    has reached, float64 ``[neuron, unit, delay]``, the sum over paths of so many connections. Its cost is that of the
    synapses times the rows of the units' fields; no more than a wave and the result is kept."""

    def __init__(
        self, between: list[Connection], synapses: Mapping[Connection, Synapses], of: Population,
        units: npt.NDArray[np.int64], length: int,
    ) -> None:  # fmt: skip
        self._between, self._synapses, self._of, self._units, self._length = between, synapses, of, units, length
        sizes = {p.name: p.size for c in between for p in (c.source, c.target) if p is not of or c.source is of}
        needs = {(f"population {n!r}", "paths"): 24 * size * units.size * length for n, size in sizes.items()}
        check_host(needs)

    def fields(self, source: Population) -> Field:
        """The sum of what all waves bring to the inputs, ``[unit, input, delay]``."""
        total = np.zeros((source.size, self._units.size, self._length))
        wave = self._first()
        populations = len({p for c in self._between for p in (c.source, c.target)})
        for _ in range(populations * (self._length + 1)):  # a cycle's delays are one step at least
            if source in wave:
                brought = wave.pop(source)
                total[:, :, : brought.shape[2]] += brought
            if not wave:
                return np.ascontiguousarray(total.transpose(1, 0, 2))
            wave = self._next(wave)
        raise InvalidValueError(
            f"the receptive field of {self._of.name!r} has no end: connections on a cycle need delays of at least one "
            "time step"
        )

    def _first(self) -> dict[Population, Field]:
        """The synapses of the units themselves; a number for each, nowhere a row for every neuron of their layer."""
        place = np.full(self._of.size, -1)
        place[self._units] = np.arange(self._units.size)
        wave: dict[Population, Field] = {}
        for c in self._of.incoming:
            if c not in self._synapses:
                continue
            s = self._synapses[c]
            own = np.flatnonzero((place[s.post] >= 0) & (s.delay < self._length))
            reached = self._room(wave, c, min(c.max_delay_steps + 1, self._length))
            np.add.at(reached, (s.pre[own], place[s.post[own]], s.delay[own]), s.weight[own].astype(np.float64))
        return _alive(wave)

    def _next(self, wave: dict[Population, Field]) -> dict[Population, Field]:
        """One connection further back."""
        found: dict[Population, Field] = {}
        for c in self._between:
            if c.target not in wave:
                continue
            here, s = wave[c.target], self._synapses[c]
            neurons, units, columns = here.shape
            reached = self._room(found, c, min(columns + c.max_delay_steps, self._length))
            for delay in np.unique(s.delay):
                end = min(int(delay) + columns, self._length)
                own = np.flatnonzero(s.delay == delay)
                if end <= delay:
                    continue
                back = csr_array(
                    (s.weight[own].astype(np.float64), (s.pre[own], s.post[own])), shape=(c.source.size, neurons)
                )
                shifted = (back @ here.reshape(neurons, -1)).reshape(-1, units, columns)
                reached[:, :, delay:end] += shifted[:, :, : end - int(delay)]
        return _alive(found)

    def _room(self, wave: dict[Population, Field], c: Connection, columns: int) -> Field:
        """A wave's part at a connection's source, with so many columns at least."""
        known = wave.get(c.source)
        if known is None or known.shape[2] < columns:
            wave[c.source] = np.zeros((c.source.size, self._units.size, columns))
            if known is not None:
                wave[c.source][:, :, : known.shape[2]] = known
        return wave[c.source]


def _alive(wave: Mapping[Population, Field]) -> dict[Population, Any]:
    """Without populations that no path reaches."""
    return {population: values for population, values in wave.items() if values.any()}
