"""The order in which populations are computed, and the populations on cycles."""

from __future__ import annotations

import numpy as np

from ..network import Network


def computation_order(network: Network) -> tuple[tuple[tuple[int, ...], ...], set[int]]:
    """Groups of populations in order of computation, and which populations lie on a cycle (inputs are left out)."""
    from graphlib import TopologicalSorter

    size = len(network.populations)
    edges = [(c.source.index, c.target.index) for c in network.connections]
    reaches = np.eye(size, dtype=bool)  # Warshall: populations are few, and scipy.sparse takes half a second to import
    reaches[tuple(np.array(edges).T)] = True
    for k in range(size):
        reaches |= reaches[:, k, None] & reaches[None, k]
    component = (reaches & reaches.T).argmax(axis=1)  # the first population of each strongly connected component
    sorter: TopologicalSorter[int] = TopologicalSorter({int(k): set() for k in component})
    for a, b in edges:
        if component[a] != component[b]:
            sorter.add(int(component[b]), int(component[a]))
    members = [tuple(p.index for p in network.populations if component[p.index] == k) for k in sorter.static_order()]
    cyclic = {i for group in members for i in group if len(group) > 1}
    cyclic |= {a for a, b in edges if a == b}
    return tuple(g for g in members if not network.populations[g[0]].neuron.is_input), cyclic
