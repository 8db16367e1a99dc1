"""A compiled network that was closed: its state can be read and saved, what computes or changes it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import Case

from genn_delays import InferenceCompiler
from genn_delays.errors import InvalidValueError
from genn_delays.training.compiled_network import CompiledNetwork

CASE = Case.numbered(3)
X, Y = CASE.data()
CALLS: dict[str, Callable[[CompiledNetwork, Path], Any]] = {
    "evaluate": lambda c, _: c.evaluate(X, Y),
    "predict": lambda c, _: c.predict(X),
    "load": lambda c, path: c.load(path),
    "set_weights": lambda c, _: c.set_weights(c.network.connections[0], 0.5),
}
LEARNING: dict[str, Callable[[CompiledNetwork, Path], Any]] = {
    "train": lambda c, _: c.train(X, Y, 1, callbacks=[]),
    "gradients": lambda c, _: c.gradients(X, Y),
    "set_learning_rate": lambda c, _: c.set_learning_rate(0.1),
}


def compiled(kind: str) -> CompiledNetwork:
    if kind == "inference":
        return InferenceCompiler(CASE.time_steps, batch_size=CASE.batch_size).compile(CASE.network())
    return CASE.compile(kind)


@pytest.mark.parametrize("kind", ["cpu", "reference", "inference"])
@pytest.mark.parametrize("by", ["close", "with"])
def test_what_computes_or_changes_is_refused(kind: str, by: str, tmp_path: Path) -> None:
    network, path = compiled(kind), tmp_path / "before.safetensors"
    network.save(path)
    weight = network.synapses(network.network.connections[0]).weight
    if by == "close":
        network.close()
    else:
        with network:
            pass
    for name, call in (CALLS | ({} if kind == "inference" else LEARNING)).items():
        with pytest.raises(InvalidValueError, match="this compiled network was closed") as error:
            call(network, path)
        assert "\n" not in str(error.value), name
    assert np.array_equal(network.synapses(network.network.connections[0]).weight, weight)
    network.save(tmp_path / "after.safetensors")
    assert (tmp_path / "after.safetensors").read_bytes() == path.read_bytes()
    network.close()  # a second time does nothing
