"""What every registered loss and readout must hold, on every backend; a user's are among them, each one class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from networks import largest_difference
from own import OWN, Discounted, LastMaximum, LateSpikes, Margin, SquaredShare, StepHuber, registered
from refused import refused

from genn_delays import (
    CPU,
    Connection,
    EventPropCompiler,
    Exponential,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.bodies import BodyError
from genn_delays.learning.losses import LOSSES, Loss
from genn_delays.learning.readouts import READOUTS, Readout, as_readout, softmax

STEPS, LANES, NEURONS = 14, 6, 5
ALL_LOSSES = [loss for kind in LOSSES.values() for loss in kind.examples()] + [
    loss for kind in (Margin, StepHuber) for loss in kind.examples()
]
OWN_READOUTS = [LastMaximum(), *Discounted.examples(), SquaredShare(), LateSpikes()]
ALL_READOUTS = [r for kind in READOUTS.values() for r in kind.examples()] + OWN_READOUTS


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    with registered():
        yield


def truth_of(loss: Loss, labels_each_step: bool = False) -> Any:
    random = np.random.default_rng(2)
    shape = (LANES, STEPS) if loss.stepwise and (labels_each_step or not loss.labelled) else (LANES,)
    if loss.labelled:
        return random.integers(0, NEURONS, shape).astype(np.int32)
    return random.normal(0, 1, (*shape, NEURONS)).astype(np.float32)


def variants(loss: Loss) -> list[Loss]:
    """A loss as it reads each readout that it fits, each once."""
    with registered():
        found = [loss.on(name, 30.0) for name in READOUTS]
    return list(dict.fromkeys(f for f in found if f is not None))


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_dz_is_the_derivative_of_the_mean_loss(loss: Loss) -> None:
    """Central differences in double precision; losses fit at least one readout."""
    assert variants(loss)
    for read in variants(loss):
        shape = (NEURONS, STEPS, LANES) if read.stepwise else (NEURONS, LANES)
        z = np.random.default_rng(1).uniform(0.5, 3.0, shape)
        truth = truth_of(read, labels_each_step=True)
        losses, dz = read.evaluate(z, truth)
        assert losses.shape == (LANES,) and dz.shape == shape and (losses != 0).any()
        for index in list(np.ndindex(shape))[:: 7 if read.stepwise else 1]:
            step = np.zeros(shape)
            step[index] = 1e-5
            up, down = (read.evaluate(z + sign * step, truth)[0].mean() for sign in (1, -1))
            assert dz[index] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


FORMULAS: dict[type[Readout], Any] = {
    LastMaximum: lambda r, v, dt: v.max(axis=1),
    Discounted: lambda r, v, dt: np.einsum("itl,t->il", v, np.exp(-r.rate * dt * np.arange(v.shape[1]))),
    SquaredShare: lambda r, v, dt: softmax(v).sum(axis=1) ** 2 / v.shape[1],
    LateSpikes: lambda r, v, dt: np.einsum("itl,t->il", v, np.arange(v.shape[1]) / v.shape[1]),
}
"""Of the user's; those of the library are in ``test_readouts.py`` and ``test_first_spike_time.py``."""


@pytest.mark.parametrize("readout", OWN_READOUTS, ids=repr)
def test_a_readout_of_a_user_is_its_formula(readout: Readout) -> None:
    random = np.random.default_rng(0)
    v, dz = random.normal(0, 1, (NEURONS, STEPS, 2)), random.normal(0, 1, (NEURONS, 2))
    formula = FORMULAS[type(readout)]
    spikes = (v > 0).astype(float)
    read = spikes if readout.reads == "spikes" else v
    np.testing.assert_allclose(readout.forward(read, 0.5), formula(readout, read, 0.5), rtol=1e-12)
    found = readout.backward(read, dz, 0.5)
    for index in np.ndindex(v.shape):
        step = np.zeros_like(v)
        step[index] = 1e-6
        slope = (formula(readout, read + step, 0.5) - formula(readout, read - step, 0.5)) / 2e-6
        assert found[index] == pytest.approx((slope * dz).sum(), abs=1e-7)


def compiled(backend: Any, loss: Any, readout: Any, event_prop: bool = False) -> Any:
    spiking = as_readout(readout).reads == "spikes"
    synapse: Any = Exponential(4.0) if event_prop else "delta"
    neuron: Any = LeakyIntegrateFire if spiking else LeakyIntegrate
    more = {"v_thresh": 0.4} if spiking else {}
    network = Network(seed=3)
    with network:
        a = Population(Input(), 4, "in")
        b = Population(LeakyIntegrateFire(tau_mem=8.0, v_thresh=0.6, scale_i=event_prop), 7, "hidden")
        c = Population(neuron(tau_mem=10.0, readout=readout, scale_i=event_prop, **more), NEURONS, "out")
        for source, target, gain in ((a, b, 0.5), (b, c, 0.4)):
            weight = Normal(0.1 * (8 if event_prop else 1), gain * (8 if event_prop else 1))
            Connection(source, target, FixedNumber(sparsity=0.2, weight=weight, delay=UniformInt(0, 3)), synapse)
    kind: Any = EventPropCompiler if event_prop else SurrogateCompiler
    return kind(STEPS, LANES, losses=loss, backend=backend, dt=0.5).compile(network)


def found(backend: Any, loss: Any, readout: Any, **arguments: Any) -> tuple[Any, ...]:
    x = {"in": np.random.default_rng(0).random((LANES, STEPS, 4)).astype(np.float32)}
    fitted = loss.on(as_readout(readout).registered_name, STEPS * 0.5)
    y = {"out": truth_of(fitted, labels_each_step=arguments.pop("each_step", False))}
    with compiled(backend, loss, readout, **arguments) as network:
        z = next(iter(network.predict(x)[0].values()))
        metrics = network.evaluate(x, y)[0]
        value, gradients = network.gradients(x, y)
        return z, value, list(gradients.values()), metrics.accuracy if fitted.labelled else None


def assert_alike(backend: Any, loss: Any, readout: Any, **arguments: Any) -> None:
    mine, theirs = (found(b, loss, readout, **arguments) for b in (backend, "reference"))
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-5, atol=1e-6)
    assert mine[1] == pytest.approx(theirs[1], rel=1e-5) and mine[3] == theirs[3]
    assert any(np.abs(g).max() > 0 for g in theirs[2])
    for one, two in zip(mine[2], theirs[2], strict=True):
        assert largest_difference(one, two) < 1e-4


PAIRS = [(loss, "avg_var") for loss in Margin.examples()] + [(StepHuber(), "var")]
PAIRS += [(Margin(0.5, 2.0), readout) for readout in OWN_READOUTS]
"""Of these the user's; ``tests/contracts`` has the library's."""


@pytest.mark.parametrize(("loss", "readout"), PAIRS, ids=lambda x: repr(x).replace(" ", ""))
def test_kernels_are_the_definition(kernels: Any, loss: Loss, readout: Any) -> None:
    assert_alike(kernels, loss, readout)


@pytest.mark.parametrize("loss", [loss for loss in ALL_LOSSES if variants(loss)[0].ground_truth == "timestep_label"])
def test_a_label_for_every_step(kernels: Any, loss: Loss) -> None:
    assert_alike(kernels, loss, "avg_var", each_step=True)


@pytest.mark.parametrize("readout", [r for r in OWN_READOUTS if r.reads != "spikes"], ids=repr)
def test_under_event_prop(readout: Readout) -> None:
    assert_alike(CPU(threads=1), Margin(), readout, event_prop=True)


@pytest.mark.genn
def test_a_users_on_genn() -> None:
    from genn_delays.backends import BACKENDS

    if not BACKENDS["genn"]().availability().available:
        pytest.skip("needs PyGeNN")
    for readout in (LastMaximum(), Discounted(0.2), SquaredShare()):
        assert_alike("genn", Margin(), readout, event_prop=True)


def test_its_names_are_its_own() -> None:
    """Words of C, of the templates and of the structures, in the places of a loss's numbers and values."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Odd(Loss):
        switch: float = 1.5
        LANES: float = 0.5
        epsilon: float = 2.0

        ground_truth = "example_value"
        body = """
            lane = double(z) * switch - double(target)
            lanes = lane * lane * LANES
            p = sum(lanes)
            n = p * epsilon
            loss = n
            first = 2 * lane * LANES * epsilon * switch
            dz = real(first / double(num_lanes))
            """

    LOSSES.register("odd")(Odd)
    try:
        assert_alike(CPU(threads=1), Odd(), "sum_var")
    finally:
        LOSSES.pop("odd")


def test_numbers_of_a_readout_are_told() -> None:
    """In the network, its messages and checkpoints; one with the default numbers is its name."""
    assert LeakyIntegrate(readout=Discounted()).readout == "discounted"
    assert LeakyIntegrate(readout=Discounted(0.2)).readout == Discounted(0.2)
    with refused("Discounted rate", "nan"):
        LeakyIntegrate(readout=Discounted(float("nan")))
    with refused("Margin weight", "inf"):
        SurrogateCompiler(8, losses=Margin(weight=float("inf")))


def test_a_loss_may_read_several_outputs_with_numbers_of_one_name() -> None:
    """Each output has its own."""
    network = Network(seed=0)
    with network:
        a = Population(Input(), 4, "in")
        outs = [
            Population(LeakyIntegrate(readout=Discounted(rate)), 3, name) for rate, name in ((0.1, "b"), (0.3, "c"))
        ]
        for out in outs:
            Connection(a, out, FixedNumber(sparsity=0.0, weight=Normal(0.0, 0.5), delay=UniformInt(0, 3)))
    x = {"in": np.random.default_rng(0).random((4, STEPS, 4)).astype(np.float32)}
    y = {name: np.array([0, 1, 2, 1]) for name in "bc"}
    values = []
    for backend in ("cpu", "reference"):
        losses = {"b": Margin(1.0, 0.5), "c": Margin(3.0, 0.1)}
        with SurrogateCompiler(STEPS, 4, losses=losses, backend=backend).compile(network) as net:
            values.append(net.gradients(x, y)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


VALUE = "example_value"
WRONG: list[tuple[type, dict[str, Any], str]] = [
    (Loss, {"ground_truth": "example_label"}, "body"),
    (Loss, {"ground_truth": "label", "body": "loss = sum(double(z))\ndz = z"}, "ground_truth"),
    (Loss, {"ground_truth": "example_label", "body": "loss = sum(z)\ndz = z"}, "'loss' must be double"),
    (Loss, {"ground_truth": "example_label", "body": "loss = double(z)\ndz = z"}, "one for each lane"),
    (Loss, {"ground_truth": VALUE, "body": "x = at_label(z)\nloss = double(x)\ndz = z"}, "no class labels"),
    (Loss, {"ground_truth": VALUE, "body": "loss = sum(double(z)) + 1\ndz = z"}, "must be all that is assigned"),
    (Loss, {"ground_truth": VALUE, "body": "loss = sum(double(z))\nx = z\nx = z\ndz = x"}, "has a value already"),
    (Loss, {"ground_truth": VALUE, "body": "loss = sum(double(num_lanes))\ndz = z"}, "the same for all"),
    (Loss, {"ground_truth": VALUE, "body": "loss = sum(double(z))\nd = z"}, "'dz' gets no value"),
    (Readout, {"end": "z = v"}, "back"),
    (Readout, {"end": "z = v", "back": "dv = dz", "reads": "rates"}, "reads"),
    (Readout, {"end": "z = v", "back": "dv = dz", "derivative": "time"}, "by time"),
    (Readout, {"end": "z = sum", "back": "dv = dz"}, "'sum' has no value"),
    (Readout, {"end": "z = double(v)", "back": "dv = dz"}, "must be real"),
    (Readout, {"begin": "v = real(0)", "end": "z = v", "back": "dv = dz"}, "'v'"),
    (Readout, {"end": "z = v", "back": "dv = dz", "forward": lambda self, v, dt=1.0: v[:, 0]}, "must not define"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "members", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_what_is_incomplete_is_refused(base: type, members: dict[str, Any], message: str) -> None:
    registry: Any = LOSSES if base is Loss else READOUTS
    with refused("Mine", message, error=BodyError):
        registry.register("mine")(type("Mine", (base,), members))
    assert "mine" not in registry


def test_every_one_of_a_users_is_tested() -> None:
    tested = {type(x) for x in (*ALL_LOSSES, *ALL_READOUTS)}
    assert set(OWN.values()) <= tested
