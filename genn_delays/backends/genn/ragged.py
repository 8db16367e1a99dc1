"""GeNN's arrays: recordings, and ragged connectivity: rows by source neuron, each with room for as many synapses.

Only this module uses PyGeNN's private names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def places(length: Array, stride: int) -> npt.NDArray[np.int64]:
    """The positions of all synapses in GeNN's padded rows, row by row, for rows of these lengths."""
    begin = np.repeat(np.arange(length.size) * stride - (np.cumsum(length) - length), length)
    return np.asarray(begin + np.arange(int(length.sum())), dtype=np.int64)


def row_length(group: Any) -> Array:
    """The number of synapses of every source neuron, as it is on the device now."""
    group._row_lengths.pull_from_device()
    return np.asarray(group._row_lengths.view).astype(np.int64)


def read(group: Any, names: Sequence[str]) -> tuple[Array, Array, dict[str, Array]]:
    """Source, target and variables of a synapse group's synapses, row by row, as they are on the device now.

    Variables that differ between lanes are ``[lane, synapse]``.
    """
    length = row_length(group)
    group._ind.pull_from_device()
    here = places(length, group.max_connections)
    values = {}
    for name in names:
        group.vars[name].pull_from_device()
        values[name] = np.array(group.vars[name]._view[..., here])
    pre = np.repeat(np.arange(length.size, dtype=np.int32), length)
    return pre, np.asarray(group._ind.view)[here].astype(np.int32), values


def write(group: Any, pre: Array, post: Array, values: dict[str, Array]) -> None:
    """Replace all synapses of a group, given in order of (pre, post)."""
    length = np.bincount(pre, minlength=group.src.num_neurons)
    here = places(length, group.max_connections)
    group._row_lengths.view[:] = length
    group._ind.view[here] = post
    group.push_connectivity_to_device()
    for name, array in values.items():
        group.vars[name]._view[..., here] = array
        group.vars[name].push_to_device()


def write_variable(group: Any, name: str, values: Array) -> None:
    """Replace a variable of all synapses, given row by row."""
    length = np.asarray(group._row_lengths.view).astype(np.int64)
    group.vars[name]._view[..., places(length, group.max_connections)] = values
    group.vars[name].push_to_device()


def values_of(update: Any, name: str, length: Array, stride: int) -> Array:
    """A variable of a custom update that goes with a synapse group, ``[synapse]``."""
    update.vars[name].pull_from_device()
    return np.array(update.vars[name]._view[..., places(length, stride)])


def recording(group: Any) -> Array:
    """The bits of recorded spikes, ``[word]`` of GeNN's steps, lanes and neurons, as the model last fetched them."""
    from pygenn import types

    return np.asarray(group._get_array("recordSpk", types.Uint32).view)


def unpacked(words: Array, neurons: int) -> npt.NDArray[np.bool_]:
    """Bits of 32 neurons a word as spikes, ``[..., word]`` to ``[..., neuron]``."""
    bits = np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), axis=-1, bitorder="little")
    return np.asarray(bits[..., :neurons], dtype=np.bool_)


def allocate(group: Any, name: str, values: Array) -> None:
    """Give an extra global parameter its memory, before the model runs or between two examples."""
    parameter = group.extra_global_params[name]
    parameter.set_init_values(values)
    group._load_egp({name: parameter})
