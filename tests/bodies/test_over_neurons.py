"""Reductions over neurons: what they are, and that loops are no more than are needed."""

from __future__ import annotations

import numpy as np
import pytest

from genn_delays.bodies import BodyError, Type, compute
from genn_delays.bodies.over_neurons import SOFTMAX, Rank, read_over_neurons
from genn_delays.codegen.bodies import CPU
from genn_delays.codegen.over_neurons import nest

INPUTS = {"z": (Type.REAL, Rank.NEURON), "is_label": (Type.BOOL, Rank.NEURON), "size": (Type.INT, Rank.ALL)}
ADDRESSES = {"z": "z[i]", "is_label": "i == label", "label": "label"}


def test_reductions_are_numpys() -> None:
    text = """
        total = sum(z)
        top = largest(z)
        low = smallest(z)
        where = where_largest(z * z)
        least = where_smallest(z)
        own = at_label(2 * z)
        """
    names = {
        "total": Type.REAL,
        "top": Type.REAL,
        "low": Type.REAL,
        "where": Type.INT,
        "least": Type.INT,
        "own": Type.REAL,
    }
    body = read_over_neurons("a test", text, INPUTS, {n: (t, Rank.LANE) for n, t in names.items()})
    z = np.random.default_rng(0).normal(0, 1, (7, 5)).astype(np.float32)
    z[3, 0] = z[2, 0] = z.max() + 1  # the first of two
    label = np.array([6, 0, 1, 2, 3])
    found = compute(body.body, {"z": z, "is_label": np.arange(7)[:, None] == label, "size": 7})
    np.testing.assert_allclose(found["total"], z.astype(float).sum(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found["top"], z.max(axis=0))
    np.testing.assert_array_equal(found["low"], z.min(axis=0))
    np.testing.assert_array_equal(found["where"], (z * z).argmax(axis=0))
    np.testing.assert_array_equal(found["least"], z.argmin(axis=0))
    np.testing.assert_array_equal(found["own"], 2 * z[label, np.arange(5)])
    assert found["where"][0] == 2


def test_sums_are_in_the_order_of_neurons() -> None:
    body = read_over_neurons("a test", "y = sum(z)", INPUTS, {"y": (Type.REAL, Rank.LANE)})
    z = np.float32([[1e8], [1.0], [-1e8]])
    assert compute(body.body, {"z": z, "is_label": z > 0, "size": 3})["y"] == 0.0


def test_independent_reductions_share_a_loop() -> None:
    text = "a = sum(z)\nb = largest(z)\nc = where_largest(z)\nd = sum(z - b)\nloss = a + d\ndz = z"
    outputs = {"loss": (Type.REAL, Rank.LANE), "dz": (Type.REAL, Rank.NEURON)}
    found = nest(
        read_over_neurons("a test", text, INPUTS, outputs), CPU, ADDRESSES, {"dz": "z[i]"}, given=["loss", "c"]
    )
    loops = [part for part in found.parts if part.neurons]
    assert [[a.name for a in part.accumulators] for part in loops] == [["a_", "b_", "c_"], ["d_"]]
    assert "z[i] = dz_;" in loops[1].text and "z[i] =" not in loops[0].text


def test_a_label_that_is_read_later_keeps_what_it_reads() -> None:
    """The derivative takes the place of z only after the label's z was read for the last time."""
    text = "total = sum(z)\nown = at_label(z / total)\nloss = own\ndz = z"
    outputs = {"loss": (Type.REAL, Rank.LANE), "dz": (Type.REAL, Rank.NEURON)}
    parts = nest(read_over_neurons("a test", text, INPUTS, outputs), CPU, ADDRESSES, {"dz": "z[i]"}).parts
    assert [part.neurons for part in parts] == [True, False, True]
    assert [("z[i] = dz_;" in part.text) for part in parts] == [False, False, True]


def test_what_is_costly_is_kept_where_the_result_will_lie() -> None:
    kept = nest(SOFTMAX, CPU, {"v": "v[i]"}, {"q": "q[i]"}, keeps=True).parts
    again = nest(SOFTMAX, CPU, {"v": "v[i]"}, {"q": "q[i]"}, keeps=False).parts
    assert sum("exp_negative" in part.text for part in kept) == 1
    assert sum("exp_negative" in part.text for part in again) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = sum(z) + 1", "must be all that is assigned"),
        ("y = sum(size)", "the same for all"),
        ("y = sum(z, z)", "1 argument"),
        ("y = sum(is_label)", "bool"),
        ("x = z\nx = 2 * x\ny = sum(x)", "has a value already"),
        ("if size > 2:\n    y = sum(z)\nelse:\n    y = real(0)", "cannot be in an if"),
        ("y = z", "one for each neuron"),
        ("y = real(size)", "one for all lanes"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(BodyError, match=message):
        read_over_neurons("a test", text, INPUTS, {"y": (Type.REAL, Rank.LANE)})
