"""Networks whose sums are exact in any order, so that GeNN, which adds in its own, must agree to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from networks import Case

from genn_delays import CompiledNetwork


def grid(values: Any) -> npt.NDArray[np.float32]:
    """The nearest multiples of 2**-8."""
    return (np.round(np.asarray(values, np.float64) * 256) / 256).astype(np.float32)


def on_grid(compiled: CompiledNetwork) -> CompiledNetwork:
    """The network with its weights on the grid, all its variables kept."""
    for c in compiled.plan.connections:
        state = compiled.engine.state(c.index)
        state.synapses = state.synapses._replace(weight=grid(state.synapses.weight))
        compiled.engine.set_state(c.index, state)
    for p in compiled.plan.populations:
        compiled.engine.keep_variables(p.index)
    return compiled


def grid_data(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case's data with inputs on the grid."""
    x, y = case.data()
    return {name: grid(values) for name, values in x.items()}, y
