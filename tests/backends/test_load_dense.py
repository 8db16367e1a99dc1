"""Real-valued inputs as kernels get them: [neuron][time][batch], whatever squares they are transposed in."""

from __future__ import annotations

import numpy as np
import pytest

import genn_delays as gd

T = 19


@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 15, 16, 17, 40])
@pytest.mark.parametrize("lanes", [1, 16, 20, 33])
def test_inputs_are_transposed(size, lanes):
    described = gd.Network(seed=0)
    with described:
        a = gd.Population(gd.Input(), size, "a")
        b = gd.Population(gd.LeakyIntegrate(readout="sum_var"), 2, "b")
        gd.Connection(a, b, gd.FixedNumber(sparsity=0.0))
    x = np.random.default_rng(size).random((lanes, T, size), dtype=np.float32)
    with gd.SurrogateCompiler(T, lanes, backend=gd.CPU(threads=2)).compile(described, optimisers={}) as compiled:
        compiled.predict({"a": x})
        loaded = compiled.engine._population_arrays[0]["x"]  # type: ignore[attr-defined]
        np.testing.assert_array_equal(loaded.reshape(size, T, lanes), x.transpose(2, 1, 0))
