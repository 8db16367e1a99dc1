"""A NIR graph made flat: nested graphs dissolved, nodes by name, their successors, and the sizes of neurons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidValueError

NEURONS = ("LIF", "CubaLIF", "LI", "CubaLI", "IF", "I")
LINEAR = ("Linear", "Affine", "Scale", "Delay", "Flatten")
PORTS = ("Input", "Output")
SUPPORTED = (*NEURONS, *LINEAR, *PORTS, "NIRGraph")


class Flat(NamedTuple):
    """A graph without nested graphs.

    Attributes:
        nodes: by name; nodes of a nested graph ``sub`` are ``sub.node``.
        after: by name, the names of the nodes that a node leads to, in the order of the edges.
    """

    nodes: dict[str, Any]
    after: dict[str, list[str]]

    def before(self, name: str) -> list[str]:
        """The names of the nodes that lead to a node."""
        return [a for a, targets in self.after.items() if name in targets]


def kind(node: Any) -> str:
    """The type of a node, as NIR names it."""
    return type(node).__name__


def text(value: Any) -> Any:
    """A text as text: files give bytes for some."""
    return value.decode() if isinstance(value, bytes) else value


def flat(graph: Any) -> Flat:
    """A graph without nested graphs.

    Raises:
        InvalidValueError: a node of a type that cannot be read, or an edge of a node that is not there.
    """
    nodes: dict[str, Any] = {}
    edges = _dissolve(graph, "", nodes)
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in dict.fromkeys(edges):
        for name in (a, b):
            if name not in nodes:
                raise InvalidValueError(f"NIR edge {a!r} -> {b!r}: there is no node {name!r}")
        after[a].append(b)
    return Flat(nodes, after)


def _dissolve(graph: Any, prefix: str, nodes: dict[str, Any]) -> list[tuple[str, str]]:
    """Add a graph's nodes to `nodes`, and return its edges; those of a nested graph go to its Input and Output."""
    entries: dict[str, tuple[list[str], list[str]]] = {}
    edges: list[tuple[str, str]] = []
    for own, node in graph.nodes.items():
        name = f"{prefix}{text(own)}"
        if kind(node) not in SUPPORTED:
            raise InvalidValueError(
                f"NIR node {name!r} of type {kind(node)} cannot be read; allowed: {', '.join(SUPPORTED)}"
            )
        if kind(node) != "NIRGraph":
            nodes[name] = node
            continue
        edges += _dissolve(node, f"{name}.", nodes)
        ends = {end: [f"{name}.{text(n)}" for n, inner in node.nodes.items() if kind(inner) == end] for end in PORTS}
        if len(ends["Input"]) != 1 or len(ends["Output"]) != 1:
            raise InvalidValueError(
                f"NIR graph {name!r} within the graph has {len(ends['Input'])} Input and {len(ends['Output'])} Output "
                "nodes; allowed is one of each"
            )
        entries[name] = ends["Input"], ends["Output"]
    for a, b in graph.edges:
        source, target = f"{prefix}{text(a)}", f"{prefix}{text(b)}"
        sources = entries[source][1] if source in entries else [source]
        targets = entries[target][0] if target in entries else [target]
        edges += [(one, other) for one in sources for other in targets]
    return edges


def size_of(name: str, node: Any) -> int:
    """The number of neurons or lines of a node."""
    if kind(node) in PORTS:
        shape: Iterable[Any] = np.atleast_1d(next(iter((node.input_type or {}).values())))
        return int(np.prod([int(n) for n in shape]))
    values = {"LIF": "tau", "LI": "tau", "CubaLIF": "tau_mem", "CubaLI": "tau_mem", "IF": "r", "I": "r"}
    values |= {"Delay": "delay", "Scale": "scale"}
    array = np.asarray(getattr(node, values[kind(node)]))
    if array.ndim == 0:
        raise InvalidValueError(
            f"NIR node {name!r} of type {kind(node)} has numbers in place of arrays, which do not say how many neurons "
            "it has; give its parameters as arrays [neuron]"
        )
    return int(array.size)


def metadata_of(node: Any) -> Mapping[str, Any]:
    """A node's metadata, texts as texts."""
    found = node.metadata if isinstance(getattr(node, "metadata", None), Mapping) else {}
    return {key: text(value) for key, value in found.items()}
