"""Bodies give the same bits in NumPy and in the code that is printed of them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genn_delays.backends.cpu.compiler import load_library
from genn_delays.bodies import Body, Type, compute, read
from genn_delays.bodies.functions import EXP_NEGATIVE, LIBRARY, NORMAL_QUANTILE, PHILOX, POWER, SCALED
from genn_delays.codegen.bodies import CPU, GENN, Dialect, Printer, functions
from genn_delays.codegen.environment import environment

DTYPES: dict[Type, Any] = {
    Type.REAL: np.float32, Type.DOUBLE: np.float64, Type.U32: np.uint32, Type.U64: np.uint64, Type.INT: np.int64,
    Type.BOOL: np.bool_,
}  # fmt: skip
PRELUDE = "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n"


def source(body: Body, dialect: Dialect) -> str:
    """A program that computes a body for arrays of its inputs; GeNN's code is nearly C."""
    if dialect is CPU:
        helpers = environment("cpu").get_template("functions.cpp.j2").render(text=functions(CPU, body.called()))
    else:
        helpers = "typedef float scalar;\n"
    types = {**{name: CPU.types[t] for name, t in body.types.items()}}
    names = [*body.inputs, *(f"out_{name}" for name in body.outputs)]
    parameters = [f"const {types[name]}* in_{name}" for name in body.inputs]
    parameters += [f"{types[name]}* out_{name}" for name in body.outputs]
    loads = "".join(f"        {types[name]} {name}_ = in_{name}[k];\n" for name in body.inputs)
    stores = "".join(f"        out_{name}[k] = {name}_;\n" for name in body.outputs)
    text = Printer(dialect).block(body, indent=2).replace("1.0d", "1.0").replace("0.0d", "0.0")
    assert names
    head = f'extern "C" __attribute__((visibility("default"))) void run({", ".join(parameters)}, int64_t size) {{'
    return f"{PRELUDE}{helpers}\n{head}\n    for (int64_t k = 0; k < size; ++k) {{\n{loads}{text}\n{stores}    }}\n}}\n"


def run(body: Body, values: dict[str, Any], dialect: Dialect = CPU) -> dict[str, Any]:
    """The outputs of a body as a compiler makes them of its printed code."""
    library, _, _ = load_library(source(body, dialect))
    size = max(np.size(v) for v in values.values())
    arrays = [np.broadcast_to(np.asarray(values[n], DTYPES[t]), size).copy() for n, t in body.inputs.items()]
    found = {name: np.empty(size, DTYPES[body.types[name]]) for name in body.outputs}
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, *found.values())]
    library.run(*pointers, ctypes.c_int64(size))
    return found


def assert_same_bits(body: Body, values: dict[str, Any], dialect: Dialect = CPU) -> None:
    mine, theirs = compute(body, values), run(body, values, dialect)
    for name in body.outputs:
        np.testing.assert_array_equal(mine[name], theirs[name])


def test_library_has_the_same_bits() -> None:
    random = np.random.default_rng(0)
    words = random.integers(0, 2**32, 20_000, dtype=np.uint32)
    words[:4] = 0, 1, 2**32 - 1, 2**31
    assert_same_bits(EXP_NEGATIVE, {"x": -np.abs(random.normal(0, 40, 20_000)).astype(np.float32)})
    assert_same_bits(POWER, {"base": random.uniform(0, 1, 3000), "exponent": words[:3000] >> 16})
    assert_same_bits(NORMAL_QUANTILE, {"word": words})
    counter = {name: random.permutation(words) for name in PHILOX.inputs}
    assert_same_bits(PHILOX, counter)
    totals = random.integers(1, 2**63, 20_000, dtype=np.uint64) >> random.integers(0, 63, 20_000, dtype=np.uint64)
    for dialect in (CPU, GENN):
        assert_same_bits(SCALED, {"low": words, "high": random.permutation(words), "total": totals}, dialect)


def test_library_is_what_it_says() -> None:
    """Against SciPy and the C library, to the accuracy that each promises."""
    from scipy import stats

    x = -np.linspace(0, 80, 10_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(compute(EXP_NEGATIVE, {"x": x})["y"] - exact) <= 2 * np.spacing(exact.astype(np.float32))).all()
    words = np.random.default_rng(1).integers(0, 2**32, 10_000, dtype=np.uint32)
    normal = stats.norm.ppf((words + 0.5) / 2.0**32)
    np.testing.assert_allclose(compute(NORMAL_QUANTILE, {"word": words})["y"], normal, rtol=2e-9)
    np.testing.assert_allclose(compute(POWER, {"base": 0.999, "exponent": [0, 1, 65_535]})["result"],
                               [1, 0.999, 0.999**65_535], rtol=1e-12)  # fmt: skip


def test_calls_are_written_out_where_there_are_no_functions() -> None:
    text = "y = w * real(1 - power(base, n)) + real(power(base, n + 1))"
    body = read("two calls", text, {"w": Type.REAL, "base": Type.DOUBLE, "n": Type.U32}, ("y",), LIBRARY)
    values = {"w": np.linspace(-1, 1, 99), "base": np.linspace(0.5, 0.999, 99), "n": np.arange(99) * 13}
    assert_same_bits(body, values)
    assert_same_bits(body, values, GENN)
    assert "power(" not in Printer(GENN).block(body)


def test_names_are_the_writers_own() -> None:
    """Those that C and its templates use for something else too."""
    inputs = dict.fromkeys(("switch", "THREAD", "n"), Type.REAL)
    body = read("names", "float = switch + THREAD\nT = float * n", inputs, ("T",))
    assert_same_bits(body, {"switch": 1.5, "THREAD": 2.5, "n": 3.5})


expressions = st.recursive(
    st.sampled_from(["x", "y", "z", "0.1", "2", "1e-3"]),
    lambda e: st.one_of(
        st.tuples(e, st.sampled_from("+-*/"), e).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(e, st.sampled_from(["+", "-", "*", "/"]), st.sampled_from("xyz")).map(" ".join),
        e.map(lambda a: f"(-({a}))"), e.map(lambda a: f"sqrt(abs(x * {a}))"),
        st.tuples(e, e).map(lambda t: f"max(x * {t[0]}, z - {t[1]})"),
        st.tuples(e, e, e).map(lambda t: f"(x * {t[0]} if y < {t[1]} else z * {t[2]})"),
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(expressions, min_size=20, max_size=20))
@settings(max_examples=8, deadline=None)
def test_random_expressions_have_the_same_bits(texts: list[str]) -> None:
    """Order, signs and parentheses of the printed text are those of the tree."""
    lines = "\n".join(f"r{k} = x * 0 + ({text})" for k, text in enumerate(texts))
    body = read("random", lines, dict.fromkeys("xyz", Type.REAL), tuple(f"r{k}" for k in range(len(texts))))
    random = np.random.default_rng(0)
    values = {name: random.normal(0, 2, 500).astype(np.float32) for name in "xyz"}
    with np.errstate(all="ignore"):
        assert_same_bits(body, values)
        assert_same_bits(body, values, GENN)
