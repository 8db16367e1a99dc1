"""What the compiler accepts, what it makes of it, and what it refuses before anything is built."""

from __future__ import annotations

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    ArcTan,
    Connection,
    DeepR,
    Dense,
    FixedNumber,
    FixedProbability,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Reference,
    Sparse,
    SurrogateCompiler,
    Triangle,
    Uniform,
    UniformInt,
)
from genn_delays.backends import BACKENDS
from genn_delays.learning import OPTIMISERS, SURROGATES
from genn_delays.learning.losses import LOSSES, SparseCategoricalCrossentropy
from genn_delays.rewiring import REWIRING

T = 6
HALF = FixedNumber(sparsity=0.5, weight=Normal(0, 0.5), delay=UniformInt(0, 3))


def described(first=HALF, second=HALF, recurrent=None) -> Network:
    network = Network(seed=1)
    with network:
        a, h = Population(Input(), 4, "a"), Population(LeakyIntegrateFire(tau_mem=5.0), 6, "h")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, "o")
        Connection(a, h, first)
        Connection(h, o, second)
        if recurrent is not None:
            Connection(h, h, recurrent, name="around")
    return network


def compiler(**arguments) -> SurrogateCompiler:
    return SurrogateCompiler(**{"example_timesteps": T, "batch_size": 2, "backend": "reference"} | arguments)


X, Y = {"a": np.random.default_rng(0).random((5, T, 4))}, {"o": [0, 1, 1, 0, 1]}


# --- the compiler's own arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"example_timesteps": 0}, ("example_timesteps", "at least 1", "got 0")),
        ({"example_timesteps": 10.0}, ("example_timesteps", "whole number", "10.0")),
        ({"example_timesteps": None}, ("example_timesteps", "whole number", "None")),
        ({"batch_size": 0}, ("batch_size", "at least 1", "got 0")),
        ({"batch_size": -4}, ("batch_size", "at least 1", "-4")),
        ({"batch_size": True}, ("batch_size", "whole number", "True")),
        ({"batch_size": 1 << 30}, ("example_timesteps x batch_size", "2**31", f"{T} x {1 << 30}")),
        ({"dt": 0.0}, ("dt", "(0, inf)", "0.0")),
        ({"dt": float("nan")}, ("dt", "nan")),
        ({"dt": "1"}, ("dt", "number", "'1'")),
        ({"rng_seed": -1}, ("rng_seed", "from 0", "-1")),
        ({"rng_seed": 1 << 64}, ("rng_seed", str((1 << 64) - 1), str(1 << 64))),
        ({"detach_reset": 1}, ("detach_reset", "true or false", "1")),
        ({"backend": "cpuu"}, ("backend", "'cpuu'", "cpu, ", "Did you mean 'cpu'?")),
        ({"backend": None}, ("backend", "None", "reference")),
        ({"surrogate": "atan"}, ("surrogate", "'atan'", "triangle", "Did you mean 'arctan'?")),
        ({"surrogate": ["arctan"]}, ("surrogate", "['arctan']", "arctan")),
        ({"surrogate": ArcTan}, ("surrogate", "ArcTan", "arctan")),
        ({"losses": "mse"}, ("loss", "'mse'", "sparse_categorical_crossentropy")),
        ({"losses": {"o": "mse"}}, ("loss", "'mse'", "sparse_categorical_crossentropy")),
        ({"losses": "relative_mean_square_error"}, ("'relative_mean_square_error'", "needs delta", "delta=")),
        ({"per_timestep_loss": True}, ("'per_timestep_loss'", "mlGeNN 2", "per_timestep=True")),
        ({"losses": None}, ("loss", "None")),
        ({"optimiser": "adam"}, ("'optimiser'", "mlGeNN 2", "compile(network, optimisers=")),
        ({"deep_r_conns": []}, ("'deep_r_conns'", "mlGeNN 2", "compile(network, rewiring=")),
        ({"delay_learn_conns": []}, ("'delay_learn_conns'", "mlGeNN 2", "compile(network, optimisers=")),
        ({"bacth_size": 3}, ("unknown argument", "'bacth_size'")),
    ],
    ids=repr,
)
def test_bad_arguments(arguments, parts):
    with refused(*parts):
        compiler(**arguments)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: CPU(threads=0), ("threads", "from 1", "got 0")),
        (lambda: CPU(threads=1.5), ("threads", "whole number", "1.5")),
        (lambda: Reference(dtype="float16"), ("dtype", "'float16'", "float32, float64")),
        (lambda: Reference(smooth_spikes=1), ("smooth_spikes", "true or false", "1")),
        (lambda: ArcTan(0), ("ArcTan alpha", "(0, inf)", "got 0")),
        (lambda: Triangle(-1), ("Triangle width", "(0, inf)", "-1")),
        (lambda: Adam(0), ("Adam alpha", "(0, inf)", "got 0")),
        (lambda: Adam(beta1=1.0), ("Adam beta1", "[0, 1)", "1.0")),
        (lambda: Adam(beta2=-0.1), ("Adam beta2", "[0, 1)", "-0.1")),
        (lambda: Adam(epsilon=0), ("Adam epsilon", "(0, inf)", "got 0")),
        (lambda: Adam("x"), ("Adam alpha", "number", "'x'")),
        (lambda: DeepR(l1=-0.1), ("DeepR l1", "[0, inf)", "-0.1")),
        (lambda: DeepR(temperature=float("inf")), ("DeepR temperature", "inf")),
        (lambda: DeepR(dale=1), ("DeepR dale", "true or false", "1")),
        (lambda: DeepR(growth_delay="worst"), ("growth_delay", "'worst'", "best, pair, redraw")),
    ],
)
def test_bad_parts(make, parts):
    with refused(*parts):
        make()


def test_names_and_objects_serve_alike():
    for name in SURROGATES:
        assert compiler(surrogate=name).surrogate == compiler(surrogate=SURROGATES[name]()).surrogate
    for name in set(LOSSES) - {"relative_mean_square_error"}:  # it has no default
        assert compiler(losses=name).losses == compiler(losses=LOSSES[name]()).losses
    assert compiler(losses=SparseCategoricalCrossentropy(0.1)).losses.label_smoothing == 0.1
    for name, backend in BACKENDS.items():
        assert compiler(backend=name).backend == compiler(backend=backend()).backend
    for name, optimiser in OPTIMISERS.items():
        by_name, by_object = (
            compiler().compile(described(), optimisers={"all_connections": value}) for value in (name, optimiser())
        )
        assert [c.optimiser for c in by_name.plan.connections] == [c.optimiser for c in by_object.plan.connections]
    for name, rule in REWIRING.items():
        by_name, by_object = (
            compiler().compile(described(), rewiring={"all_connections": value}) for value in (name, rule())
        )
        assert [c.rewiring for c in by_name.plan.connections] == [c.rewiring for c in by_object.plan.connections]


# --- what is learned and rewired -------------------------------------------------------------------------------------


def optimisers_of(compiled) -> list:
    return [c.optimiser for c in compiled.plan.connections]


def test_optimisers_by_object_name_and_all():
    network = described()
    first, second = network.connections
    one, two = Adam(0.1), Adam(0.2)
    for chosen, expected in (
        (None, [Adam(), Adam()]),
        ({}, [None, None]),
        ({"all_connections": one}, [one, one]),
        ({"all_connections": {"weight": "adam"}}, [Adam(), Adam()]),
        ({first: {"weight": one}}, [one, None]),
        ({"h_o": two}, [None, two]),
        ({"h_o": two, "all_connections": one}, [one, two]),
        ({first: two, "h_o": one}, [two, one]),
    ):
        assert optimisers_of(compiler().compile(network, optimisers=chosen)) == expected
    assert second.name == "h_o"


def test_only_what_is_named_is_learned(backend):
    network = described()
    with compiler(backend=backend).compile(network, optimisers={"h_o": Adam(0.01)}) as compiled:
        before = [compiled.synapses(c) for c in network.connections]
        compiled.train(X, Y, 2, callbacks=[])
        after = [compiled.synapses(c) for c in network.connections]
    assert np.array_equal(before[0].weight, after[0].weight)
    assert not np.array_equal(before[1].weight, after[1].weight)


def test_every_connection_has_the_learning_rate_it_was_given():
    """Adam's first step is its learning rate, to the side that lowers the loss."""
    network = described()
    chosen = {"a_h": Adam(1e-3), "h_o": Adam(1e-2)}
    with compiler(batch_size=5).compile(network, optimisers=chosen) as compiled:
        gradients = compiled.gradients(X, Y)[1]
        before = [compiled.synapses(c).weight for c in network.connections]
        compiled.train(X, Y, 1, callbacks=[])
        for connection, weight, alpha in zip(network.connections, before, (1e-3, 1e-2), strict=True):
            change, gradient = compiled.synapses(connection).weight - weight, gradients[connection]
            felt = np.abs(gradient) > 1e-4
            assert felt.any()
            np.testing.assert_allclose(change[felt], -alpha * np.sign(gradient[felt]), rtol=1e-2)


def test_rewiring_by_object_name_and_all():
    network = described()
    one, two = DeepR(l1=0.1), DeepR(l1=0.2)
    for chosen, expected in (
        (None, [None, None]),
        ({}, [None, None]),
        ({"all_connections": one}, [one, one]),
        ({network.connections[1]: two}, [None, two]),
        ({"a_h": "deep_r"}, [DeepR(), None]),
        ({"all_connections": one, "h_o": "none"}, [one, None]),
        ({"all_connections": one, "h_o": None}, [one, None]),
    ):
        compiled = compiler().compile(network, rewiring=chosen)
        assert [c.rewiring for c in compiled.plan.connections] == expected
        assert set(compiled.rewirings) == {c.name for c in compiled.plan.connections if c.rewiring}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"optimisers": "adam"}, ("optimisers", "dict", "'adam'")),
        (
            {"optimisers": [Adam()]},
            ("optimisers", "dict by connection, population, 'all_connections' or 'all_populations'"),
        ),
        ({"optimisers": {"all_connections": "rmsprop"}}, ("optimiser of connection 'a_h'", "'rmsprop'", "adam")),
        ({"optimisers": {"all_connections": Adam}}, ("optimiser of connection 'a_h'", "Adam", "adam")),
        ({"optimisers": {"a_h": None}}, ("optimiser of connection 'a_h'", "None", "adam")),
        ({"optimisers": {"a_hh": "adam"}}, ("connection", "'a_hh'", "h_o", "Did you mean 'a_h'?")),
        ({"optimisers": {3: "adam"}}, ("connection", "3", "h_o")),
        ({"optimisers": {described().connections[0]: "adam"}}, ("optimisers", "'a_h'", "another network")),
        ({"optimisers": {"a_h": {}}}, ("optimisers of connection 'a_h'", "no variable", "weight, delay")),
        ({"optimisers": {"a_h": {"delay": "rmsprop"}}}, ("optimiser of the delays of connection 'a_h'", "'rmsprop'")),
        (
            {"optimisers": {"a_h": {"wieght": Adam()}}},
            ("optimisers of connection 'a_h'", "'wieght'", "delay, weight", "'weight'?"),
        ),
        ({"rewiring": "deep_r"}, ("rewiring", "dict", "'deep_r'")),
        ({"rewiring": {"a_h": "deepr"}}, ("rewiring of connection 'a_h'", "'deepr'", "deep_r")),
        ({"rewiring": {"a_h": DeepR}}, ("rewiring of connection 'a_h'", "DeepR", "deep_r")),
        ({"rewiring": {"o_h": DeepR()}}, ("connection", "'o_h'", "a_h, all_connections, h_o")),
        ({"rewiring": {described().connections[0]: DeepR()}}, ("rewiring", "'a_h'", "another network")),
        ({"deep_r_conns": ["a_h"]}, ("'deep_r_conns'", "mlGeNN 2", "rewiring={connection: DeepR()}")),
        ({"delay_learn_conns": ["a_h"]}, ("'delay_learn_conns'", "mlGeNN 2", "'delay'")),
        ({"optimizers": {}}, ("unknown argument", "'optimizers'")),
    ],
    ids=lambda x: None if isinstance(x, tuple) else next(iter(x)),
)
def test_bad_requests(arguments, parts):
    with refused(*parts):
        compiler().compile(described(), **arguments)


def test_only_networks_are_compiled():
    for value in (None, described().connections, "digits"):
        with refused("compile needs a Network"):
            compiler().compile(value)


# --- rewiring that cannot be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("full", "pairs"),
    [
        (Dense(), 24),
        (FixedNumber(sparsity=0.0), 24),
        (FixedProbability(1.0), 24),
        (Sparse(np.arange(24) % 4, np.arange(24) // 4, 1.0), 24),
        (Sparse(np.arange(48) % 4, np.arange(48) % 24 // 4, 1.0, multapses=True), 24),
    ],
    ids=lambda x: type(x).__name__,
)
def test_rewiring_at_sparsity_zero(full, pairs):
    network = described(first=full)
    for chosen in ({"a_h": DeepR()}, {"all_connections": "deep_r"}):
        with refused("rewiring", "'a_h'", "sparsity 0", f"all {pairs} pairs", "rewiring 'none'"):
            compiler().compile(network, rewiring=chosen)
    compiler().compile(network, rewiring={"all_connections": DeepR(), "a_h": "none"})


def test_rewiring_where_nothing_is_learned():
    with refused("rewiring", "'a_h'", "needs an optimiser"):
        compiler().compile(described(), optimisers={"h_o": Adam()}, rewiring={"a_h": DeepR()})


# --- Dale's law ------------------------------------------------------------------------------------------------------


def test_explicit_weights_that_break_dales_law():
    mixed = Sparse([0, 1, 1, 2], [0, 0, 1, 1], [1.0, -1.0, 2.0, -3.0])
    network = described(first=mixed)
    with refused("'a_h'", "Dale's law", "neuron 1 of 'a'", "one sign per source neuron"):
        compiler().compile(network, rewiring={"a_h": DeepR(dale=True)})
    compiler().compile(network, rewiring={"a_h": DeepR(dale=False)})
    pure = Sparse([0, 1, 1, 2], [0, 0, 1, 1], [1.0, -1.0, -2.0, 3.0])
    compiled = compiler().compile(described(first=pure), rewiring={"a_h": DeepR(dale=True)})
    assert compiled.plan.connections[0].pre_sign[:3].tolist() == [1, -1, 1]


def test_dales_law_holds_across_the_connections_of_a_population():
    """Two connections from one population share its signs, so explicit weights of both must agree."""
    for second, fits in ((-1.0, False), (1.0, True)):
        recurrent = Sparse([3], [0], [second], 1)
        network = described(second=Sparse([3, 4], [0, 1], [1.0, -1.0]), recurrent=recurrent)
        rules = {"h_o": DeepR(dale=True), "around": DeepR(dale=True)}
        if fits:
            plan = compiler().compile(network, rewiring=rules).plan
            assert np.array_equal(plan.connections[1].pre_sign, plan.connections[2].pre_sign)
        else:
            with refused("Dale's law", "neuron 3 of 'h'", "'around'"):
                compiler().compile(network, rewiring=rules)


def test_initial_weights_follow_dales_law(backend):
    network = described(first=FixedNumber(sparsity=0.2, weight=Normal(0, 1)))
    with compiler(backend=backend).compile(network, rewiring={"a_h": DeepR(dale=True)}) as compiled:
        held, sampled = compiled.synapses("a_h"), network.connections[0].synapses
    assert np.array_equal(np.abs(held.weight), np.abs(sampled.weight))
    for neuron in range(4):
        assert len(set(np.sign(held.weight[held.pre == neuron]))) == 1


# --- cycles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connectivity",
    [
        Dense(delay=0),
        FixedNumber(sparsity=0.5, delay=UniformInt(0, 9)),
        Sparse([0, 1], [1, 0], 1.0, [5, 0]),
    ],
    ids=lambda c: type(c).__name__,
)
def test_zero_delay_on_a_cycle(connectivity):
    with refused("'around'", "cycle", "at least 1", "got 0"):
        compiler().compile(described(recurrent=connectivity))


def test_zero_delay_on_a_longer_cycle():
    """Every connection of the cycle is meant, and none beside it."""
    for there, back, culprit in ((1, 0, "back"), (0, 1, "there"), (1, 1, None)):
        network = Network()
        with network:
            a = Population(Input(), 2)
            b, c = Population(LeakyIntegrateFire(), 3), Population(LeakyIntegrateFire(), 3)
            o = Population(LeakyIntegrate(readout="sum_var"), 2)
            Connection(a, b, Dense(delay=0))
            Connection(b, c, Dense(delay=there), name="there")
            Connection(c, b, Dense(delay=back), name="back")
            Connection(c, o, Dense(delay=0))
        if culprit is None:
            compiler().compile(network)
        else:
            with refused(repr(culprit), "cycle", "at least 1", "got 0"):
                compiler().compile(network)


# --- training calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"num_epochs": 0}, ("num_epochs", "at least 1", "got 0")),
        ({"num_epochs": -2}, ("num_epochs", "at least 1", "-2")),
        ({"num_epochs": 1.5}, ("num_epochs", "whole number", "1.5")),
        ({"validation_split": 1.0}, ("validation_split", "[0, 1)", "1.0")),
        ({"validation_split": -0.1}, ("validation_split", "[0, 1)", "-0.1")),
        ({"validation_split": float("nan")}, ("validation_split", "nan")),
        ({"validation_x": X}, ("validation_x and validation_y", "together")),
        ({"validation_y": Y}, ("validation_x and validation_y", "together")),
        ({"validation_split": 0.4, "validation_x": X, "validation_y": Y}, ("validation_split or validation_x",)),
        ({"callbacks": "batch_progress_bar"}, ("callbacks", "list", "'batch_progress_bar'")),
        ({"callbacks": ["progress"]}, ("callback", "'progress'", "batch_progress_bar")),
    ],
    ids=lambda x: None if isinstance(x, tuple) else "-".join(x),
)
def test_bad_training(arguments, parts):
    with compiler().compile(described()) as compiled:
        with refused(*parts):
            compiled.train(X, Y, **{"num_epochs": 1, "callbacks": []} | arguments)
        assert compiled.step == 0


def test_a_batch_larger_than_the_data():
    """Training takes it as evaluation does: all examples are one batch."""
    weights = []
    for batch_size in (5, 6, 1000):
        with compiler(batch_size=batch_size).compile(described()) as compiled:
            metrics, _ = compiled.train(X, Y, 2, callbacks=[])
            assert compiled.step == 2 and metrics.outputs[compiled.population("o")].total == 5
            assert compiled.evaluate(X, Y)[0].outputs[compiled.population("o")].total == 5
            weights.append(compiled.synapses("a_h").weight)
    for more in weights[1:]:
        np.testing.assert_allclose(more, weights[0], rtol=1e-5, atol=1e-7)
    with compiler(batch_size=5).compile(described()) as compiled:
        compiled.train(X, Y, 1, callbacks=[], validation_split=0.4)
        assert compiled.step == 1


def test_readouts_that_are_not_there():
    with compiler().compile(described()) as compiled:
        with refused("predict", "'h'", "no readout"):
            compiled.predict(X, "h")
        with refused("population", "'oo'", "a, h, o"):
            compiled.predict(X, ["oo"])
        with refused("connection", "'o_h'", "a_h, h_o"):
            compiled.synapses("o_h")
        with refused("'a_h'", "another network"):
            compiled.synapses(described().connections[0])


def test_the_seed_of_training_is_not_that_of_the_network():
    """Another rng_seed orders examples otherwise; what the network is made of stays."""
    weights = {}
    for seed in (0, 0, 1):
        network = described(first=Dense(weight=Uniform(0, 1)))
        with compiler(rng_seed=seed).compile(network) as compiled:
            start = compiled.synapses("a_h").weight
            compiled.train(X, Y, 3, callbacks=[])
            weights.setdefault(seed, []).append((start.tobytes(), compiled.synapses("h_o").weight.tobytes()))
    (one, again), (other,) = weights[0], weights[1]
    assert one == again
    assert one[0] == other[0]
    assert one[1] != other[1]
