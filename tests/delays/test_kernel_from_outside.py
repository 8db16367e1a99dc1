"""Delay kernels of a user's own, each in one place, on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from networks import largest_difference
from refused import refused

import genn_delays as gd
from genn_delays import (
    SGD,
    Adam,
    Connection,
    DelayKernel,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    RigL,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.bodies import BodyError
from genn_delays.delays import DELAY_KERNELS
from genn_delays.learning.schedules import Progress


@dataclass(frozen=True)
class LaplaceKernel(DelayKernel):
    """``e(x) = exp(-|x| / width)``."""

    offset = 0.2
    reach = 8.0
    body = """
        e = exp_negative(-abs(x) / width)
        slope = (e if x > 0 else -e if x < 0 else 0) / width
        """


@dataclass(frozen=True)
class CauchyKernel(DelayKernel):
    """``e(x) = ground + 1 / (1 + (x / width)^2)^order`` with numbers of its own."""

    order: float = 1.0
    ground: float = 0.0

    offset = 0.5
    reach = 4
    body = """
        share = x / width
        base = double(1) + double(share * share)
        lower = 1 / base
        e = real(ground + power(lower, u32(order)))
        slope = 2 * real(order) * (e - real(ground)) * real(lower) * share / width
        """


KERNELS = [
    (lambda: LaplaceKernel(sigma=1.5), lambda x, w: np.exp(-np.abs(x) / w)),
    (lambda: CauchyKernel(sigma=2.0), lambda x, w: 1 / (1 + (x / w) ** 2)),
    (lambda: CauchyKernel(sigma=2.0, order=3.0, ground=1e-3), lambda x, w: 1e-3 + 1 / (1 + (x / w) ** 2) ** 3),
]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gd.register("laplace")(LaplaceKernel)
    gd.register("cauchy")(CauchyKernel)
    yield
    for name in ("laplace", "cauchy"):
        del DELAY_KERNELS[name]


def network(kernels: list[DelayKernel]) -> Network:
    described = Network(seed=5)
    with described:
        pops = [Population(Input(), 5, "in")]
        pops += [Population(LeakyIntegrateFire(tau_mem=6.0, v_thresh=0.4), 6) for _ in kernels[1:]]
        pops.append(Population(LeakyIntegrate(readout="sum_softmax"), 4, "out"))
        for source, target, kernel in zip(pops, pops[1:], kernels, strict=False):
            connectivity = FixedNumber(sparsity=0.3, delay=UniformInt(0, 9))
            Connection(source, target, connectivity, max_delay_steps=12, delay_kernel=kernel)
    return described


def data() -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(7)
    return {"in": random.random((6, 20, 5)).astype(np.float32)}, {"out": random.integers(0, 4, 6)}


def learned(kernels: list[DelayKernel], backend: Any, kind: Any = Adam, **more: Any) -> list[Any]:
    """Gradients, and synapses and delays after two epochs."""
    optimisers = {"all_connections": {"weight": kind(0.01), "delay": kind(0.2)}}
    with SurrogateCompiler(20, 4, backend=backend).compile(network(kernels), optimisers=optimisers, **more) as compiled:
        found = [g for of in ("weight", "delay") for g in compiled.gradients(*data(), of)[1].values()]
        compiled.train(*data(), 2, callbacks=())
        for c in compiled.network.connections:
            found += [compiled.synapses(c).weight, compiled.delays(c)]
        return found


@pytest.mark.parametrize(("make", "formula"), KERNELS)
def test_the_body_is_the_formula_and_its_slope_the_derivative(make: Any, formula: Any) -> None:
    """Against NumPy's own functions, and by central differences."""
    kernel, x, width, h = make(), np.random.default_rng(0).uniform(-12, 12, 200), np.float64(2.3), 1e-6
    e, slope = kernel.shape(x, width)
    np.testing.assert_allclose(e, formula(x, width), rtol=1e-12)
    np.testing.assert_allclose(slope, (formula(x - h, width) - formula(x + h, width)) / (2 * h), atol=1e-8)
    single, tilt = kernel.shape(x.astype(np.float32), np.float32(width))
    assert single.dtype == tilt.dtype == np.float32
    np.testing.assert_allclose(single, e, rtol=2e-6, atol=1e-9)


def test_every_backend_computes_them(kernels: Any) -> None:
    """Two kernels of one class with other numbers beside each other, learned weights and delays."""
    made = [make() for make, _ in KERNELS]
    for mine, theirs in zip(learned(made, kernels), learned(made, "reference"), strict=True):
        assert largest_difference(mine, theirs) < 2e-5


def test_delays_are_chosen_by_them(kernels: Any) -> None:
    """Growth by the gradient spreads what may be born over the kernel's lags."""
    rule = {"all_connections": RigL(interval=1, growth_delay="best")}
    made = [LaplaceKernel(sigma=1.5)] * 2
    both = (learned(made, backend, SGD, rewiring=rule) for backend in (kernels, "reference"))
    for mine, theirs in zip(*both, strict=True):
        assert largest_difference(mine, theirs) < 2e-5


@pytest.mark.parametrize("kind", [*DELAY_KERNELS.values(), LaplaceKernel, CauchyKernel], ids=lambda k: k.__name__)
def test_every_kernel_has_shares_that_sum_to_1(kind: type[DelayKernel]) -> None:
    """What every registered kernel's examples must do, a user's too."""
    for kernel in kind.examples():
        kernel.check_shape()
        width, d = kernel.width(12, Progress(0, 4, 0, 1)), np.random.default_rng(1).uniform(0, 12, 50)
        taps, h = kernel.taps(d, width, 0, 12), 1e-6
        np.testing.assert_allclose(taps.share.sum(axis=1), 1, rtol=1e-12)
        up, down = (kernel.taps(d + s * h, width, 0, 12) for s in (1, -1))
        same = (up.first == down.first) & (up.number == down.number)
        size = min(up.share.shape[1], down.share.shape[1], taps.slope.shape[1])
        slope = (up.share[:, :size] - down.share[:, :size]) / (2 * h)
        np.testing.assert_allclose(slope[same], taps.slope[same, :size], atol=1e-6)


def test_a_name_is_enough() -> None:
    described = network(["laplace", "cauchy"])  # type: ignore[list-item]
    assert [type(c.delay_kernel) for c in described.connections] == [LaplaceKernel, CauchyKernel]


def test_what_is_incomplete_is_refused() -> None:
    @dataclass(frozen=True)
    class Bare(DelayKernel):
        offset, reach = 1.0, 1.0

    @dataclass(frozen=True)
    class NoReach(DelayKernel):
        offset, body = 1.0, LaplaceKernel.body

    @dataclass(frozen=True)
    class Unknown(DelayKernel):
        offset, reach, body = 1.0, 1.0, "e = nothing\nslope = x"

    @dataclass(frozen=True)
    class Whole(DelayKernel):
        offset, reach, body = 1.0, 1.0, "e = int(1)\nslope = x"

    @dataclass(frozen=True)
    class Taken(DelayKernel):
        width: float = 1.0  # type: ignore[assignment]
        offset, reach, body = 1.0, 1.0, "e = x\nslope = x"

    for kind, parts, error in (
        (Bare, ("Bare", "`body`"), BodyError), (NoReach, ("NoReach", "reach"), gd.delays.kernels.InvalidValueError),
        (Unknown, ("Unknown", "'nothing'"), BodyError), (Whole, ("Whole", "'e'", "real"), BodyError),
        (Taken, ("Taken", "'width'"), BodyError),
    ):  # fmt: skip
        with refused(*parts, error=error):
            gd.register("new")(kind)
    assert "new" not in DELAY_KERNELS


def test_a_kernel_without_a_share_for_the_nearest_lag_is_refused() -> None:
    @dataclass(frozen=True)
    class Narrow(DelayKernel):
        offset, reach, body = 0.0, 1.0, "e = max(width - abs(x), 0)\nslope = 0 * x"

    gd.register("narrow")(Narrow)
    try:
        with refused("Narrow", "above 0", "|x| <= 1/2"):
            network([Narrow(final_sigma=0.1)])
    finally:
        del DELAY_KERNELS["narrow"]
