"""Describing a network: names, seeds, what is sampled from it, and what cannot be a network."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from refused import refused

from genn_delays import (
    BatchProgressBar,
    Callback,
    Checkpoint,
    Connection,
    Dense,
    EarlyStopping,
    EventPropCompiler,
    FixedNumber,
    Input,
    KaimingUniform,
    LeakyIntegrate,
    LeakyIntegrateFire,
    MetricsWriter,
    Network,
    NormalInt,
    Population,
    Sparse,
    SpikeInput,
    SpikeRecorder,
    SurrogateCompiler,
    Uniform,
    UniformInt,
    UserNeuron,
    VarRecorder,
)

DELAY = UniformInt(0, 5)


def small(seed: int = 0) -> Network:
    network = Network(seed)
    with network:
        a, h = Population(SpikeInput(), 6, "a"), Population(LeakyIntegrateFire(tau_mem=Uniform(5, 20)), (2, 4), "h")
        o = Population(LeakyIntegrate(readout="sum_var"), 3, "o")
        Connection(a, h, FixedNumber(sparsity=0.5, weight=KaimingUniform(), delay=DELAY))
        Connection(h, o, Dense(delay=DELAY))
    return network


def arrays(network: Network) -> list[np.ndarray]:
    return [array for connection in network.connections for array in connection.synapses]


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_are_found_or_made():
    network = Network()
    with network:
        a, b = Population(Input(), 2), Population(LeakyIntegrateFire(), 2, "hidden")
        c = Population(LeakyIntegrate(readout="sum_var"), 2)
        found = [Connection(a, b, Dense()), Connection(a, b, Dense()), Connection(b, c, Dense(), name="last")]
    assert [p.name for p in network.populations] == ["population0", "hidden", "population2"]
    assert [k.name for k in found] == ["population0_hidden", "population0_hidden_2", "last"]
    assert network.find("population", "hidden") is b
    assert network.find("connection", "population0_hidden_2") is found[1]
    assert b.incoming == found[:2]
    assert b.outgoing == found[2:]
    assert (network.inputs, network.outputs) == ([a], [c])
    with refused("population", "'hiden'", "population0", "Did you mean 'hidden'?"):
        network.find("population", "hiden")
    with refused("connection", "'x'", "last"):
        network.find("connection", "x")


def test_one_name_is_one_population():
    network = small()
    with network:
        with refused("populations", "'h'", "names must differ"):
            Population(Input(), 2, "h")
        with refused("connections", "'a_h'", "names must differ"):
            Connection(network.populations[0], network.populations[1], Dense(), name="a_h")
        for name in ("", 3, "two\nlines"):
            with refused("population name", repr(name)):
                Population(Input(), 2, name)
    assert (len(network.populations), len(network.connections)) == (3, 2)


def test_same_names_in_two_networks():
    one, two = small(), small()
    assert one.find("population", "h") is not two.find("population", "h")


# --- where things belong ---------------------------------------------------------------------------------------------


def test_with_blocks_nest_and_end():
    outer, inner = Network(), Network()
    with outer:
        a = Population(Input(), 1)
        with inner:
            b = Population(Input(), 1)
        c = Population(Input(), 1)
    assert outer.populations == [a, c]
    assert inner.populations == [b]
    with refused("Population", "with network"):
        Population(Input(), 1)
    with pytest.raises(RuntimeError, match="mine"), outer:
        raise RuntimeError("mine")
    with refused("Population", "with network"):
        Population(Input(), 1)
    with outer:
        pass


def test_a_network_can_be_named_in_place_of_the_block():
    network = Network()
    a = Population(Input(), 1, network=network)
    b = Population(LeakyIntegrate(), 1, network=network)
    assert Connection(a, b, Dense()).network is network
    with refused("network", "'x'"):
        Population(Input(), 1, network="x")


def test_dangling_connections():
    one, two = small(), small()
    a, h = one.populations[0], two.populations[1]
    with refused("dangling connection", "'a'", "'h'"):
        Connection(a, h, Dense())
    with two, refused("dangling connection", "'a'", "'h'"):
        Connection(a, one.populations[1], Dense())
    with one:
        for source, target, what in ((None, h, "source"), (a, "h", "target")):
            with refused(f"connection {what}", "Population"):
                Connection(source, target, Dense())
    assert (len(one.connections), len(two.connections)) == (2, 2)


def test_what_cannot_be_connected():
    network = small()
    a, h, o = network.populations
    with network:
        with refused("target 'a'", "is an input"):
            Connection(h, a, Dense())
        with refused("source 'o'", "neither spikes nor is an input"):
            Connection(o, h, Dense())
        with refused("connectivity", "FixedNumber(sparsity=0.9)", "'dense'"):
            Connection(a, h, "dense")
        with refused("synapse", "'beta'", "alpha, conductance, delta, exponential"):
            Connection(a, h, Dense(), "beta")


def test_what_spikes():
    network = Network()
    silent = UserNeuron(vars={"v": ("-v / tau + Isyn", None)}, param_vals={"tau": 5.0})
    loud = UserNeuron(vars={"v": ("-v / tau + Isyn", "0")}, threshold="v - 1", param_vals={"tau": 5.0})
    with network:
        kinds = [Input(), SpikeInput(), LeakyIntegrateFire(), LeakyIntegrate(), silent, loud]
        found = [Population(kind, 1).spiking for kind in kinds]
    assert found == [False, True, True, False, False, True]


# --- sizes and delays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        (0, ("number of neurons", "at least 1", "got 0")),
        (-3, ("number of neurons", "at least 1", "-3")),
        (2.0, ("number of neurons", "whole number", "2.0")),
        (True, ("number of neurons", "whole number", "True")),
        ("12", ("number of neurons", "whole number", "'12'")),
        (None, ("number of neurons", "whole number", "None")),
        ((4, 0), ("number of neurons", "at least 1", "got 0")),
        ((), ("shape", "at least one size", "()")),
        ((1 << 20, 1 << 20), ("number of neurons", str(2**31 - 1), str(2**40))),
    ],
    ids=repr,
)
def test_bad_sizes(shape, parts):
    network = Network()
    with network, refused(*parts):
        Population(Input(), shape)
    assert network.populations == []


def test_shapes_multiply():
    with Network():
        population = Population(Input(), [2, np.int64(3), 4])
    assert (population.shape, population.size) == ((2, 3, 4), 24)


def test_neurons_are_objects():
    with Network():
        for neuron in ("lif", LeakyIntegrateFire, None):
            with refused("neuron", "LeakyIntegrateFire()", repr(neuron)):
                Population(neuron, 3)


@pytest.mark.parametrize(
    ("delay", "limit", "parts"),
    [
        (6, 5, ("'a_h'", "at most max_delay_steps = 5", "got 6")),
        (UniformInt(0, 25), 24, ("'a_h'", "at most max_delay_steps = 24", "got 25")),
        (NormalInt(3, 1, 0, 9), 8, ("'a_h'", "max_delay_steps = 8", "got 9")),
        (0, -1, ("max_delay_steps", "from 0 to 65535", "-1")),
        (0, 65_536, ("max_delay_steps", "from 0 to 65535", "65536")),
        (0, 2.5, ("max_delay_steps", "whole number", "2.5")),
    ],
    ids=repr,
)
def test_delays_beyond_the_maximum(delay, limit, parts):
    network = Network()
    with network:
        a, h = Population(Input(), 2, "a"), Population(LeakyIntegrateFire(), 2, "h")
        with refused(*parts):
            Connection(a, h, Dense(delay=delay), max_delay_steps=limit)
    assert network.connections == a.outgoing == h.incoming == []


def test_explicit_delays_beyond_the_maximum():
    with Network():
        a, h = Population(Input(), 2, "a"), Population(LeakyIntegrateFire(), 2, "h")
        with refused("'a_h'", "max_delay_steps = 3", "got 4"):
            Connection(a, h, Sparse([0, 1], [0, 1], 1.0, [2, 4]), max_delay_steps=3)


@pytest.mark.parametrize(("delay", "limit"), [(0, 0), (65_535, 65_535), (UniformInt(2, 9), 9), (UniformInt(2, 9), 30)])
def test_delays_up_to_the_maximum(delay, limit):
    with Network():
        a, h = Population(Input(), 2), Population(LeakyIntegrateFire(), 2)
        assert Connection(a, h, Dense(delay=delay), max_delay_steps=limit).max_delay_steps == limit
        assert Connection(a, h, Dense(delay=delay)).max_delay_steps == getattr(delay, "high", delay)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "0", None, True], ids=repr)
def test_bad_seeds(seed):
    with refused("Network seed", "from 0 to 18446744073709551615", repr(seed)):
        Network(seed)


# --- what is sampled -------------------------------------------------------------------------------------------------


def test_the_seed_decides():
    for seed in (0, 2**64 - 1):
        for one, two in zip(arrays(small(seed)), arrays(small(seed)), strict=True):
            assert np.array_equal(one, two)
    assert any(not np.array_equal(one, two) for one, two in zip(arrays(small(0)), arrays(small(1)), strict=True))
    h = [small(seed).populations[1].parameters()["tau_mem"] for seed in (0, 0, 1)]
    assert np.array_equal(h[0], h[1])
    assert (h[0] != h[2]).all()
    assert ((h[0] > 5) & (h[0] < 20)).all()
    assert len(set(h[0])) == 8


def test_every_connection_draws_its_own():
    network = Network()
    with network:
        a, b = Population(Input(), 6), Population(LeakyIntegrateFire(), 8)
        one, two = (Connection(a, b, FixedNumber(sparsity=0.5, delay=DELAY)).synapses for _ in range(2))
    assert not np.array_equal(one.pre, two.pre)
    assert not np.array_equal(one.delay, two.delay)
    assert not set(one.weight.tolist()) & set(two.weight.tolist())


def test_order_of_first_use_does_not_matter():
    one, two = small(), small()
    forwards = arrays(one)
    for connection in reversed(two.connections):
        assert connection.synapses.pre.size == connection.synapses.weight.size
    for a, b in zip(forwards, arrays(two), strict=True):
        assert np.array_equal(a, b)


def test_compiling_changes_no_synapse(backend):
    """Before and after compiling and training, and in the compiled network before training, they are the same."""
    before = [array.copy() for array in arrays(small())]
    network = small()
    with SurrogateCompiler(6, 2, backend=backend).compile(network) as compiled:
        for array, expected in zip(arrays(network), before, strict=True):
            assert np.array_equal(array, expected)
        held = [array for connection in network.connections for array in compiled.synapses(connection)]
        for array, expected in zip(held, before, strict=True):
            assert np.array_equal(array, expected)
        x = np.ones((4, 6, 6))
        compiled.train({"a": x}, {"o": [0, 1, 2, 0]}, 2, callbacks=[])
        assert not np.array_equal(compiled.synapses("h_o").weight, before[7])
        assert np.array_equal(compiled.synapses("h_o").delay, before[6])
    for array, expected in zip(arrays(network), before, strict=True):
        assert np.array_equal(array, expected)


def test_synapses_are_read_only():
    network = small()
    connection = network.connections[0]
    assert connection.synapses is connection.synapses
    for array in connection.synapses:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# --- the network as a whole ------------------------------------------------------------------------------------------


def compile_it(network: Network):
    return SurrogateCompiler(5, backend="reference").compile(network)


def test_no_output():
    network = Network()
    with refused("no output", "LeakyIntegrate(readout='sum_var')"):
        compile_it(network)
    with network:
        Connection(Population(Input(), 2), Population(LeakyIntegrate(), 2), Dense())
    with refused("no output", "LeakyIntegrate(readout='sum_var')"):
        compile_it(network)


def test_no_input():
    network = Network()
    with network:
        h, o = Population(LeakyIntegrateFire(), 2), Population(LeakyIntegrate(readout="sum_var"), 2)
        Connection(h, h, Dense(delay=1))
        Connection(h, o, Dense())
    with refused("no input", "Input()"):
        compile_it(network)


def test_populations_left_alone():
    network = small()
    with network:
        Population(LeakyIntegrateFire(), 2, "lonely")
    with refused("'lonely'", "no incoming connection"):
        compile_it(network)
    network = small()
    with network:
        Population(Input(), 2, "unheard")
    with refused("'unheard'", "no outgoing connection"):
        compile_it(network)


def _describe(number: int, meet: threading.Barrier | None = None) -> list[str]:
    """Names of the populations that a thread finds in its network; all threads have theirs open at once."""
    network = Network(seed=number)
    with network:
        for k in range(5):
            if meet is not None:
                meet.wait()
            Population(Input(), 1, name=f"{number}:{k}")
    return [p.name for p in network.populations]


def test_threads_that_describe_networks_at_once():
    """They mixed their populations: there was one list of open networks for all."""
    meet = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: _describe(number, meet), range(4)))
    assert found == [[f"{number}:{k}" for k in range(5)] for number in range(4)]


def test_tasks_that_describe_networks_at_once():
    async def describe(number: int) -> list[str]:
        network = Network(seed=number)
        with network:
            for k in range(5):
                await asyncio.sleep(0)
                Population(Input(), 1, name=f"{number}:{k}")
        return [p.name for p in network.populations]

    async def together() -> list[list[str]]:
        return list(await asyncio.gather(*(describe(number) for number in range(4))))

    assert asyncio.run(together()) == [[f"{number}:{k}" for k in range(5)] for number in range(4)]


def test_a_block_within_a_block_and_one_that_raises():
    outer, inner = Network(), Network(1)
    with outer:
        with inner, outer:
            Population(Input(), 1)
        with pytest.raises(ZeroDivisionError), inner:
            1 / 0  # noqa: B018
        Population(Input(), 1)
    assert (len(outer.populations), len(inner.populations)) == (2, 0)
    with refused("outside a network"):
        Population(Input(), 1)


def test_a_network_shows_what_it_is():
    network = Network(seed=7)
    with network:
        Population(Input(), 3)
    assert repr(network) == "<Network of seed 7: 1 populations, 0 connections>"


def test_nothing_shows_an_address(tmp_path):
    """What people look at in a notebook: inputs, compilers, compiled networks, callbacks, and their own of those."""

    class Mine(Callback):
        pass

    network = small()
    for thing, words in (
        (Input(), "Input()"), (SpikeInput(), "SpikeInput()"),
        (SurrogateCompiler(30, 4, backend="reference"), "SurrogateCompiler: 30 steps of 1 ms, batches of 4, back"),
        (EventPropCompiler(7, dt=0.1), "EventPropCompiler: 7 steps of 0.1 ms, batches of 1, backend cpu"),
        (SurrogateCompiler(3, backend="reference").compile(network), "CompiledNetwork of <Network of seed 0: 3 popul"),
        (Mine(), "Mine"), (EarlyStopping(), "EarlyStopping"), (BatchProgressBar(), "BatchProgressBar"),
        (Checkpoint(tmp_path), "Checkpoint"), (MetricsWriter(tmp_path / "m"), "MetricsWriter"),
        (SpikeRecorder("a"), "SpikeRecorder"), (VarRecorder("a"), "VarRecorder"),
    ):  # fmt: skip
        assert words in repr(thing) and " at 0x" not in repr(thing)
