"""Receptive fields, held against drawings by hand and sums over all paths."""

import numpy as np
import pytest

from genn_delays import (
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    Sparse,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.analysis import receptive_fields
from genn_delays.errors import InvalidValueError


def toy():
    """Three inputs, two hidden neurons, one output."""
    network = Network()
    with network:
        a = Population(Input(), 3, name="in")
        h = Population(LeakyIntegrateFire(), 2, name="hidden")
        o = Population(LeakyIntegrate(readout="sum_var"), 1, name="out")
        Connection(a, h, Sparse([0, 1, 2, 0], [0, 0, 1, 1], [0.5, -0.25, 3.0, -1.0], [0, 2, 1, 2]))
        Connection(h, o, Sparse([0, 1], [0, 0], [2.0, -4.0], [1, 0]))
    return network


def random_network(seed=3, loop=False):
    """Two hidden layers, a connection past one of them, and several synapses of a pair."""
    network = Network(seed)
    with network:
        a = Population(Input(), 5, name="in")
        h = Population(LeakyIntegrateFire(), 6, name="first")
        g = Population(LeakyIntegrateFire(), 4, name="second")
        o = Population(LeakyIntegrate(readout="sum_var"), 3, name="out")
        weight = Normal(0.1, 1.0)
        Connection(a, h, FixedNumber(0.5, weight=weight, delay=UniformInt(0, 4), kernel_count=2))
        Connection(h, g, FixedNumber(0.4, weight=weight, delay=UniformInt(1, 3)))
        Connection(h, o, FixedNumber(0.4, weight=weight, delay=UniformInt(0, 2)))
        Connection(g, o, FixedNumber(0.4, weight=weight, delay=UniformInt(0, 5)))
        if loop:
            Connection(g, h, FixedNumber(0.5, weight=weight, delay=UniformInt(1, 2)), name="back")
    return network


def along_all_paths(network, target, unit, length, value):
    """The field of a neuron by following every path back from it, synapse after synapse."""
    (source,) = network.inputs
    field = np.zeros((source.size, length))

    def follow(population, neuron, weight, delay):
        if delay >= length:
            return
        if population is source:
            field[neuron, delay] += weight
            return
        for c in population.incoming:
            for pre, post, d, w in zip(*c.synapses, strict=True):
                if post == neuron:
                    factor = np.sign(w) if c.source is source and value == "sign" else w
                    follow(c.source, pre, weight * float(factor), delay + int(d))

    follow(target, unit, 1.0, 0)
    return field


def test_a_layer_has_signs_at_delays():
    fields = receptive_fields(toy(), "hidden")
    drawn = [
        [[1, 0, 0], [0, 0, -1], [0, 0, 0]],
        [[0, 0, -1], [0, 0, 0], [0, 1, 0]],
    ]  # [hidden, input, delay]
    assert np.array_equal(fields.values, drawn)
    assert (fields.population, fields.source, fields.value, len(fields)) == ("hidden", "in", "sign", 2)


def test_an_output_has_its_hidden_fields_weighted_and_shifted():
    """Figure 1A, drawn by hand: 2 times the first field, a step later, minus 4 times the second."""
    fields = receptive_fields(toy())
    drawn = [[0, 2, 4, 0], [0, 0, 0, -2], [0, -4, 0, 0]]
    assert np.array_equal(fields.values, [drawn])
    assert np.array_equal(fields.over_time[0], np.asarray(drawn)[:, ::-1])  # longest ago at the left
    assert np.array_equal(fields.times, [-3, -2, -1, 0])


def test_weights_in_place_of_signs():
    fields = receptive_fields(toy(), value="weight")
    assert np.array_equal(fields.values, [[[0, 1, 4, 0], [0, 0, 0, -0.5], [0, -12, 0, 0]]])


def test_delays_of_0_to_24_in_two_layers_make_49_columns():
    network = Network()
    with network:
        a = Population(Input(), 40)
        h = Population(LeakyIntegrateFire(), 16)
        o = Population(LeakyIntegrate(readout="sum_var"), 2)
        for source, target in ((a, h), (h, o)):
            Connection(source, target, FixedNumber(0.9, weight=1.0, delay=UniformInt(0, 24)))
    assert receptive_fields(network).values.shape == (2, 40, 49)
    assert receptive_fields(network, h).values.shape == (16, 40, 25)


@pytest.mark.parametrize("value", ["sign", "weight"])
@pytest.mark.parametrize(("name", "columns"), [("first", 5), ("second", 8), ("out", 13)])
def test_any_number_of_layers_is_the_sum_over_paths(name, columns, value):
    network = random_network()
    target = network.find("population", name)
    fields = receptive_fields(network, name, value=value)
    assert fields.values.shape == (target.size, 5, columns)
    for unit in range(target.size):
        expected = along_all_paths(network, target, unit, columns, value)
        assert np.count_nonzero(expected)
        np.testing.assert_allclose(fields.values[unit], expected, rtol=1e-12, atol=1e-12)


def test_some_units_have_the_fields_that_they_have_among_all():
    network = random_network()
    some = receptive_fields(network, units=[2, 0])
    assert np.array_equal(some.values, receptive_fields(network).values[[2, 0]])
    assert np.array_equal(some.units, [2, 0])


@pytest.mark.parametrize("truncate", [0, 1, 9])
def test_a_cycle_is_followed_up_to_the_largest_delay_asked_for(truncate):
    network = random_network(loop=True)
    fields = receptive_fields(network, truncate=truncate)
    for unit in range(3):
        expected = along_all_paths(network, network.outputs[0], unit, truncate + 1, "sign")
        np.testing.assert_allclose(fields.values[unit], expected, rtol=1e-12, atol=1e-12)


def test_truncated_without_a_cycle():
    network = random_network()
    whole = receptive_fields(network).values
    np.testing.assert_allclose(receptive_fields(network, truncate=4).values, whole[:, :, :5], rtol=1e-12)
    assert receptive_fields(network, truncate=100).values.shape == whole.shape


def test_a_compiled_network_has_the_fields_of_its_synapses_as_they_are_now():
    network = toy()
    compiler = SurrogateCompiler(example_timesteps=5, batch_size=2, backend="reference")
    with compiler.compile(network) as compiled:
        assert np.array_equal(receptive_fields(compiled).values, receptive_fields(network).values)
        state = compiled.engine.state(1)
        state.values["weight"] = -state.values["weight"]
        compiled.engine.set_state(1, state)
        assert np.array_equal(receptive_fields(compiled).values, -receptive_fields(network).values)


def test_synapses_of_weight_zero_count_nothing():
    network = Network()
    with network:
        a = Population(Input(), 2)
        o = Population(LeakyIntegrate(readout="sum_var"), 1)
        Connection(a, o, Sparse([0, 1], [0, 0], [-0.0, -1e-12], [0, 1]))
    assert np.array_equal(receptive_fields(network).values, [[[0, 0], [0, -1]]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": "in"}, "population 'in' is an input"),
        ({"population": "outt"}, "unknown population 'outt'; known: first, in, out, second. Did you mean 'out'?"),
        ({"units": [3]}, "unit of population 'out' must be from 0 to 2, got 3"),
        ({"units": []}, "units must be different numbers from 0 to 2, at least one"),
        ({"units": [1, 1]}, "units must be different numbers from 0 to 2"),
        ({"value": "signs"}, "unknown value of receptive fields 'signs'; known: sign, weight"),
        ({"truncate": -1}, "truncate must be at least 0, got -1"),
        ({"source": "second", "population": "first"}, "no path of connections leads from 'second' to 'first'"),
        ({"population": 3}, "population 3 is no population of this network"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(InvalidValueError, match=message.replace("[", r"\[").replace("?", r"\?")):
        receptive_fields(random_network(), **arguments)


def test_a_cycle_without_an_end_is_named():
    with pytest.raises(InvalidValueError, match=r"field of 'out' has no end.*'back'; give truncate"):
        receptive_fields(random_network(loop=True))


def test_a_recurrent_population_is_named():
    network = Network()
    with network:
        a = Population(Input(), 2, name="in")
        h = Population(LeakyIntegrateFire(), 3, name="hidden")
        Connection(a, h, FixedNumber(0.5, weight=1.0))
        Connection(h, h, FixedNumber(0.5, weight=1.0, delay=1), name="recurrent")
        o = Population(LeakyIntegrate(readout="sum_var"), 1, name="out")
        Connection(h, o, FixedNumber(0.0, weight=1.0))
    for population in ("hidden", "out"):
        with pytest.raises(InvalidValueError, match="among the connections 'recurrent'; give truncate"):
            receptive_fields(network, population)


def test_a_cycle_without_delays_is_named():
    network = Network()
    with network:
        a = Population(Input(), 1, name="in")
        h = Population(LeakyIntegrateFire(), 1, name="hidden")
        Connection(a, h, Sparse([0], [0], 1.0, 0))
        Connection(h, h, Sparse([0], [0], 1.0, 0))
    with pytest.raises(InvalidValueError, match="delays of at least one time step"):
        receptive_fields(network, "hidden", truncate=3)


def test_several_inputs_or_outputs_must_be_named():
    network = Network()
    with network:
        a, b = (Population(Input(), 2, name=name) for name in ("a", "b"))
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="out")
        Connection(a, o, Sparse([0], [1], 1.0, 2))
        Connection(b, o, Sparse([1], [0], -1.0, 1))
    with pytest.raises(InvalidValueError, match=r"source must be named where there is not one input; .*: a, b"):
        receptive_fields(network)
    assert np.array_equal(receptive_fields(network, source=b).values, [[[0, 0], [0, -1]], [[0, 0], [0, 0]]])


def test_no_network():
    with pytest.raises(InvalidValueError, match="needs a Network or a CompiledNetwork, got 3"):
        receptive_fields(3)
