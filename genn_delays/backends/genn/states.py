"""The state of connections between training steps, in GeNN's memory and in ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...codegen.genn import Fate, synapse_variables, variable_name
from ...connectivity import sort_order
from ...plan.exchanged import ConnectionState
from ...plan.plan import ConnectionPlan
from ...plan.schema import synapse_fields
from . import ragged
from .describe import synapse_order
from .model import GeNNModel

Array = npt.NDArray[Any]


def _variables(model: GeNNModel, c: ConnectionPlan) -> dict[str, str]:
    """GeNN's names for the arrays of a connection's state, by the state's own names."""
    names = {name: variable_name(name, f) for name, f in synapse_fields(c).items()}
    kept = synapse_variables(model.plan, c)
    return {name: variable for name, variable in names.items() if variable in kept}


def read_state(model: GeNNModel, c: ConnectionPlan, known: ConnectionState) -> ConnectionState:
    """A connection's state as GeNN has it; arrays that GeNN does not keep come from `known`."""
    pre, post, values = ragged.read(model.parts.synapses[c.index], list(synapse_variables(model.plan, c)))
    order = _living_order(pre, post, values)
    arrays = {name: values[variable][order] for name, variable in _variables(model, c).items()}
    return ConnectionState.from_arrays(known.arrays() | arrays | {"pre": pre[order], "post": post[order]})


def write_state(model: GeNNModel, c: ConnectionPlan, state: ConnectionState) -> None:
    """Give GeNN a connection's state, for which its rows have room."""
    order, arrays = synapse_order(state.synapses), state.arrays()
    values = {variable: arrays[name][order] for name, variable in _variables(model, c).items()}
    if "fate" in synapse_variables(model.plan, c):
        values["fate"] = np.full(order.size, Fate.LIVING, np.uint8)
    ragged.write(model.parts.synapses[c.index], state.synapses.pre[order], state.synapses.post[order], values)


def raw_gradient(model: GeNNModel, connection: int, name: str) -> Array:
    """A gradient of all of GeNN's synapses, row by row, candidates included."""
    group = model.parts.synapses[connection]
    if model.lanes > 1:
        length = ragged.row_length(group)
        return ragged.values_of(model.parts.sums[connection], f"{name}_sum", length, group.max_connections)
    return ragged.read(group, [name])[2][name]


def gradient(model: GeNNModel, c: ConnectionPlan, name: str) -> npt.NDArray[np.float32]:
    """A gradient of a connection's synapses, in the order of its state."""
    names = [n for n in ("d", "fate") if n in synapse_variables(model.plan, c)]
    pre, post, values = ragged.read(model.parts.synapses[c.index], names)
    found = raw_gradient(model, c.index, name)[_living_order(pre, post, values)]
    return np.asarray(found, dtype=np.float32)


def _living_order(pre: Array, post: Array, values: dict[str, Array]) -> Array:
    """The indices of living synapses, sorted by (post, pre, delay)."""
    order = sort_order(post, pre, values["d"])
    return order[values["fate"][order] == Fate.LIVING] if "fate" in values else order
