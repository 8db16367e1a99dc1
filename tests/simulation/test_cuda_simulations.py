"""Simulations on `cuda`, whose kernels the host runs here: every bit as `reference`, in as few launches as can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_inputs
import test_nonlinear_simulations as nonlinear
import test_receptors
import test_rules_simulations as rules
from cuda_on_host import CUDAOnHost
from simulated import BACKENDS, compiled, contents, differences, random_network

import genn_delays as gd
from genn_delays.backends.cuda import real
from genn_delays.backends.cuda import simulation as on_cuda
from genn_delays.backends.cuda.compiler import compile_cubin, find_compiler
from genn_delays.backends.cuda.device import Buffer
from genn_delays.backends.cuda.shim import ORDERS
from genn_delays.codegen.cuda_simulation import emit_cuda_simulation
from genn_delays.errors import BackendUnavailableError, OutOfMemoryError
from genn_delays.simulation import simulation as pieces

STEPS = 60
SHARE = (5, 11, 28, 33)
"""Of the 50 networks of :mod:`test_every_bit`: one to three levels of delays of 0; delays up to 1, 25 and 300 steps."""


def fed(seed: int, steps: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {"fed": (draw.uniform(0, steps, 40), draw.integers(0, 10, 40))}


def check_every_bit(seed: int, tmp_path: Path, order: str) -> None:
    """Through runs of different lengths, and through save and load to and from other backends."""
    here = CUDAOnHost(order, seed=seed)
    found = {}
    for name, backend in (("reference", "reference"), ("cpu", "cpu"), ("cuda", here)):
        with compiled(random_network(seed), backend) as simulation:
            simulation.run(31.0, fed(seed, 31))
            simulation.step_time()
            simulation.save(tmp_path / name)
            simulation.run(STEPS - 32.0, fed(seed + 1, 20))
            found[name] = contents(simulation)
    assert differences(found["reference"], found["cuda"]) == []
    assert (tmp_path / "cuda").read_bytes() == (tmp_path / "reference").read_bytes()
    for source, backend in (("cpu", here), ("cuda", "cpu")):
        with compiled(random_network(seed), backend) as simulation:
            simulation.load(tmp_path / source)
            simulation.run(STEPS - 32.0, fed(seed + 1, 20))
            now, whole = contents(simulation), found["reference"]
            same = [n for n in now if not n.startswith(("spike", "trace"))]
            assert differences({n: now[n] for n in same}, {n: whole[n] for n in same}) == []
            for p in simulation.network.populations:
                later = whole[f"spike times of {p.name}"] >= 32
                assert np.array_equal(now[f"spike neurons of {p.name}"], whole[f"spike neurons of {p.name}"][later])


@pytest.mark.parametrize("seed", SHARE)
def test_every_bit(seed: int, tmp_path: Path) -> None:
    check_every_bit(seed, tmp_path, ORDERS[seed % 3])


@pytest.mark.all_networks
@pytest.mark.parametrize("seed", sorted({*range(50)} - {*SHARE}))
def test_every_bit_of_all_networks(seed: int, tmp_path: Path) -> None:
    check_every_bit(seed, tmp_path, ORDERS[seed % 3])


def test_every_kind_of_synapse() -> None:
    network = test_receptors.random_network(1)
    found = [test_receptors.run(network, backend, 150) for backend in ("reference", CUDAOnHost("shuffled"))]
    assert differences(*found) == []


def test_nonlinear_neurons() -> None:
    network = nonlinear.driven(1, "rk4")
    found = [nonlinear.run(network, backend, 0.02, 1500) for backend in ("cpu", CUDAOnHost("backward"))]
    assert differences(*found) == []
    assert all(found[1][f"spike times of {p.name}"].size > 10 for p in network.populations)


def test_networks_from_rules() -> None:
    made = rules.network(list(rules.RULES.values()))
    found = []
    for backend in ("cpu", CUDAOnHost("shuffled")):
        with rules.compiled(made, backend) as simulation:
            simulation.run(40.0)
            found.append(contents(simulation))
    assert differences(*found) == []
    assert found[0]["spike times of b"].size > 10


def test_many_events_of_a_drive() -> None:
    """Counts up to a thousand a step, found by bisection here and one by one there."""
    drive = gd.PoissonDrive([700_000.0, 30_000.0, 1600.0, 0.0, 990_000.0], 0.25)
    found = [traced(drive, backend) for backend in ("reference", CUDAOnHost())]
    assert np.array_equal(*found) and found[0].max() > 900 / 4


def traced(drive: Any, backend: Any) -> Any:
    with gd.SimulationCompiler(1.0, backend=backend).compile(test_inputs.driven(drive, 5), {"p": "v"}) as simulation:
        simulation.run(50.0)
        return simulation.trace("p", "v")[1]


# --- blocks, graphs and what the host waits for ----------------------------------------------------------------------


def recurrent(shortest: int = 6) -> gd.Network:
    """Spiking neurons in a circle with delays of 6 steps or more; blocks are 6 steps."""
    network = gd.Network(seed=5)
    with network:
        source = gd.Population(gd.PoissonInput(40.0), 100, "in")
        neuron = gd.LeakyIntegrateFire(tau_mem=20.0, tau_refrac=2.0)
        a = gd.Population(neuron, 300, "a", drives=gd.PoissonDrive(5000.0, 0.02))
        delay = gd.UniformInt(shortest, 50)
        gd.Connection(source, a, gd.FixedProbability(0.2, weight=0.1, delay=delay))
        gd.Connection(a, a, gd.FixedOutDegree(280, weight=gd.Normal(0.0, 0.05), delay=delay))
    return network


RECORD: dict[Any, Any] = {"in": gd.Spikes(range(0, 100, 7)), "a": ["spikes", gd.Trace("v", range(5, 90), every=4)]}


def run_in(durations: tuple[float, ...], backend: Any, shortest: int = 6) -> tuple[dict[str, Any], gd.Simulation]:
    with gd.SimulationCompiler(1.0, backend=backend).compile(recurrent(shortest), RECORD) as simulation:
        for duration in durations:
            simulation.run(duration, progress=False)
        found = contents(simulation)
    return found, simulation


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_of_several_steps(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of many blocks, blocks alone, and blocks that are cut in two."""
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 1e9)  # a busy machine would get short pieces
    expected, _ = run_in((1000.0,), "cpu")
    found, simulation = run_in((1.0, 300.0, 4.0, 695.0), CUDAOnHost(order))
    assert simulation.plan.block == 6
    assert expected["spike times of a"].size > 3000
    assert differences(expected, found) == []
    assert {blocks for blocks, _ in simulation.engine.graphs} >= {4, 32}


def test_what_is_recorded_is_fetched_when_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that have begun are not lost, nor are any done twice."""
    expected, _ = run_in((500.0,), "cpu")
    monkeypatch.setattr(on_cuda, "RECORDED", 1)
    monkeypatch.setattr(on_cuda, "MOST_STEPS", 130)
    read: list[str] = []
    download = Buffer.download
    monkeypatch.setattr(Buffer, "download", lambda b, *a: (read.append(b.name), download(b, *a))[1])
    found, _ = run_in((7.0, 493.0), CUDAOnHost())
    assert differences(expected, found) == []
    assert read.count("recorded spikes") > 4


def test_samples_that_have_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = run_in((200.0,), "cpu")
    monkeypatch.setattr(on_cuda, "TRACE_BYTES", 2000)
    assert differences(expected, run_in((200.0,), CUDAOnHost())[0]) == []


def test_two_launches_a_block_and_none_of_them_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3072 steps in blocks of 6: two graphs of 256 blocks, then one state that is read, and what was recorded."""
    with gd.SimulationCompiler(1.0, backend=CUDAOnHost()).compile(recurrent(), RECORD) as simulation:
        engine, sink = simulation.engine, simulation._sink
        device = engine.device  # type: ignore[attr-defined]
        kernels, calls, waits = device.kernels, device.calls, []
        synchronise = type(device).synchronise
        monkeypatch.setattr(type(device), "synchronise", lambda self: (waits.append(1), synchronise(self))[1])
        engine.run(2 * 256 * 6, {}, sink)
        assert device.kernels - kernels == 2 * 2 * 256
        assert device.calls - calls == 2
        assert len(waits) <= 4


def test_what_was_set_and_reset() -> None:
    with gd.SimulationCompiler(1.0, backend=CUDAOnHost()).compile(recurrent(), RECORD) as simulation:
        simulation.run(100.0)
        first = contents(simulation)
        simulation.set("a", "v", np.linspace(0.0, 0.5, 300))
        assert np.array_equal(simulation.get("a", "v"), np.linspace(0.0, 0.5, 300).astype(np.float32))
        simulation.run(13.0)
        simulation.reset()
        assert simulation.step == 0
        simulation.run(100.0)
        assert differences(contents(simulation), first) == []


def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cuda, "RECORDED", 1)
    expected, _ = run_in((300.0,), "cpu")
    with gd.SimulationCompiler(1.0, backend=CUDAOnHost()).compile(recurrent(), RECORD) as simulation:
        fetched, sink = 0, simulation._sink
        spikes = sink.spikes

        def interrupt(*arguments: Any) -> None:
            nonlocal fetched
            fetched += 1
            spikes(*arguments)
            if fetched == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(sink, "spikes", interrupt)
        with pytest.raises(KeyboardInterrupt):
            simulation.run(300.0)
        assert 0 < simulation.step <= 300
        simulation.run(300.0 - simulation.step)
        assert differences(contents(simulation), expected) == []


# --- what cannot work ------------------------------------------------------------------------------------------------


def test_a_variable_that_overflows() -> None:
    """The first one by step, population, variable and neuron, as on the other backends; and only once."""
    network = gd.Network()
    with network:
        grows = gd.UserNeuron(vars={"w": ("0 * w", None), "v": ("v / 0.1", None)}, var_vals={"v": [0.0, 1.0, 0.5]})
        gd.Population(gd.LeakyIntegrateFire(), 200, "fine")
        gd.Population(grows, 3, "p")
    for backend in ("reference", CUDAOnHost()):
        with gd.SimulationCompiler(1.0, backend=backend).compile(network) as simulation:
            with pytest.raises(gd.GennDelaysError, match=r"'v' of neuron 1 of .*'p' is not finite since step 37 \("):
                simulation.run(200.0)
            simulation.set("p", "v", 0.0)
            simulation.run(5.0)


def test_memory_of_the_device_is_foreseen() -> None:
    network = gd.Network()
    with network:
        a = gd.Population(gd.LeakyIntegrateFire(), 10_000, "a")
        connection = gd.Connection(a, a, gd.FixedNumber(sparsity=0.9, delay=gd.UniformInt(1, 30)))
    with pytest.raises(OutOfMemoryError, match=r"needs 9\d MB .*which has 50 MB free.*rows of synapses .*'a_a' 80 MB"):
        gd.SimulationCompiler(backend=CUDAOnHost(memory=50_000_000)).compile(network)
    assert "synapses" not in vars(connection)


def test_what_is_foreseen_is_what_is_taken() -> None:
    """But for what depends on recordings alone."""
    from genn_delays.backends.cuda import wiring
    from genn_delays.backends.cuda.simulation_memory import simulation_needs

    found: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            wiring, "check_simulation_memory", lambda places, _: found.append(sum(simulation_needs(places).values()))
        )
        with gd.SimulationCompiler(1.0, backend=CUDAOnHost()).compile(recurrent(), {"a": "spikes"}) as simulation:
            taken = sum(b.nbytes for b in simulation.engine.device._buffers.values())  # type: ignore[attr-defined]
    assert 0.95 * taken <= found[0] <= 1.1 * taken


def test_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Any:
        raise BackendUnavailableError("the NVIDIA driver sees no GPU")

    monkeypatch.setattr(real, "gpus", nothing)
    with pytest.raises(BackendUnavailableError, match="sees no GPU"):
        gd.SimulationCompiler(backend="cuda").compile(recurrent())


# --- for GPUs --------------------------------------------------------------------------------------------------------


def plan_and_recording(network: gd.Network) -> Any:
    record: dict[Any, Any] = {}
    for p in network.populations:
        states = [] if p.neuron.is_input else [next(iter(p.neuron.equations().variables))]  # type: ignore[attr-defined]
        record[p] = states if isinstance(p.neuron, gd.LeakyIntegrate) else ["spikes", *states]
    with gd.SimulationCompiler(0.5, backend="reference").compile(network, record) as simulation:
        return simulation.plan, simulation.recording


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_sources_compile_without_a_warning(arch: str) -> None:
    """Of every neuron, rule, drive and kind of synapse, and of networks that have next to nothing."""
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    alone = gd.Network()
    with alone:
        gd.Population(gd.LeakyIntegrate(), 2, "p")
    silent = gd.Network()
    with silent:
        gd.Population(gd.PoissonInput(2.0), 2, "p")
    networks = [random_network(9), test_receptors.random_network(0), alone, silent, nonlinear.driven(1, "rk4")]
    for network in networks[:: 1 if arch == "sm_90" else 2]:
        source = emit_cuda_simulation(*plan_and_recording(network))
        assert compile_cubin(source, arch, warnings_are_errors=True)[:4] == b"\x7fELF"


def test_source_does_not_depend_on_sizes() -> None:
    def source(size: int, longest: int) -> str:
        network = gd.Network()
        with network:
            a = gd.Population(gd.LeakyIntegrateFire(), size, "a", drives=gd.PoissonDrive(10.0 * size, 0.1))
            gd.Connection(a, a, gd.FixedProbability(0.1, delay=gd.UniformInt(1, longest)))
        return emit_cuda_simulation(*plan_and_recording(network))

    assert source(30, 4) == source(300, 40)


@pytest.mark.cuda
@pytest.mark.parametrize("seed", SHARE)
def test_every_bit_on_a_gpu(seed: int) -> None:
    availability = gd.CUDA().availability()
    if not availability.available:
        pytest.skip(availability.detail)
    found = []
    for backend in (BACKENDS["cpu 2"], "cuda"):
        with compiled(random_network(seed), backend) as simulation:
            simulation.run(31.0, fed(seed, 31))
            simulation.run(200.0)
            found.append(contents(simulation))
    assert differences(*found) == []
