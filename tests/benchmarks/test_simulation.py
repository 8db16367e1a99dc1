"""``benchmark simulation``: every network spikes at the rate asked for in whatever simulates it, and wrong options are
refused."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from test_benchmark_command import run

from genn_delays import CPU, SimulationCompiler
from genn_delays.backends import BACKENDS
from genn_delays.backends.cuda import real
from genn_delays.benchmarks.options import Options
from genn_delays.benchmarks.simulation import draw, measure
from genn_delays.benchmarks.simulation_network import NAME, Point, point_of, simulated_network
from genn_delays.benchmarks.simulation_options import asked
from genn_delays.cli import main
from genn_delays.errors import BackendUnavailableError

TINY = ["--sizes", "100", "--synapses", "10", "--delays", "1,5", "--repeats", "1"]
SAMPLE = ["--duration", "200", "--threads", "1"]
POINT = Point(size=300, synapses=20, delay=(1, 9), rate=50.0, dt=1.0, steps=1000)


def rates(point, **changes):
    """Spikes a neuron and second, of every neuron, after a second that settles them."""
    described = simulated_network(Point(**{**vars(point), **changes}))
    duration = point.steps * point.dt
    with SimulationCompiler(dt=point.dt, backend=CPU(threads=1)).compile(
        described.network, record={NAME: "spikes"}
    ) as simulation:
        simulation.run(duration)
        simulation.run(duration)
        times, neurons = simulation.spikes(NAME)
        late = neurons[times >= duration]
    return np.bincount(late, minlength=point.size) / (duration / 1000.0), times, neurons


@pytest.mark.parametrize("rate", [1.0, 5.0, 7.0, 50.0, 150.0, 500.0])
def test_neurons_spike_at_the_rate_asked_for(rate):
    """Also where the period is no whole number of steps: neurons of two periods have the mean."""
    found, _, _ = rates(POINT, rate=rate)
    assert found.mean() == pytest.approx(rate, rel=0.01)
    assert found.max() - found.min() <= max(2.0, 0.5 * rate)


def test_arriving_spikes_do_not_change_when_neurons_spike():
    """With 10 times the synapses a neuron spikes at the steps at which it spiked before; few by a step apart."""
    _, times, neurons = rates(POINT)
    _, other_times, other_neurons = rates(POINT, synapses=200)
    same = set(zip(times, neurons, strict=True)) & set(zip(other_times, other_neurons, strict=True))
    assert len(same) > 0.99 * times.size


def test_spikes_are_spread_over_time():
    _, times, _ = rates(POINT)
    in_a_step = np.bincount(times.astype(int))
    assert in_a_step.mean() == pytest.approx(15.0, rel=0.02)  # 300 neurons, 50 Hz
    assert in_a_step.max() < 40


def test_the_network_is_what_was_asked_for():
    described = simulated_network(POINT)
    s = described.synapses()
    assert s.pre.size == described.connection.num_synapses == 300 * 20
    assert (s.delay.min(), s.delay.max()) == (1, 9)
    assert np.unique(s.weight).size > 5000
    described.forget()
    assert "synapses" not in vars(described.connection)
    assert point_of(json.loads(json.dumps(POINT.tables()))) == POINT
    assert simulated_network(Point(7, 7, (2, 2), 5.0, 0.1, 10)).connection.num_synapses == 49  # every pair


def test_simulation(capsys, tmp_path):
    found, told = run(capsys, "simulation", *TINY, *SAMPLE, "--rate", "5,50", "--out", str(tmp_path))
    first, second = found["measurements"]
    assert (first["what"], first["who"], first["backend"], first["threads"]) == ("simulation", "genn_delays", "cpu", 1)
    assert first["parameters"] == {
        "populations": [100], "synapses": 1000, "delays": [1, 5], "rate": 5.0, "dt": 1.0, "duration": 200.0,
    }  # fmt: skip
    for m, rate in ((first, 5.0), (second, 50.0)):
        f, seconds = m["figures"], m["seconds"]["median"]
        assert f["spikes_a_neuron_second"] == pytest.approx(rate)
        assert f["real_time_factor"] == pytest.approx(seconds / 0.2)
        assert f["events_a_second"] == pytest.approx(1000 * rate * 0.2 / seconds, rel=0.02)
        assert f["build_seconds"] > 0
        assert f["bytes_a_synapse"] == m["bytes"] / 1000
    assert "round 1 of 1" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "results.json", "simulation_against_rate.pdf", "simulation_against_rate.png",
    ]  # fmt: skip


def test_a_table_for_people_with_every_combination(capsys):
    arguments = ["--sizes", "64,100", "--synapses", "10", "--delays", "1,5", "--delays", "2,8", "--repeats", "1"]
    assert main(["benchmark", "simulation", *arguments, "--duration", "10", "--threads", "1,2"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()[2:]
    assert head.split()[:3] == ["network", "delays", "Hz"]
    assert [row.split()[0] for row in rows] == ["64"] * 4 + ["100"] * 4
    assert [row.split()[3] for row in rows] == ["1-5", "1-5", "2-8", "2-8"] * 2


def test_pictures_of_what_varies():
    options = Options(sizes="64,100", synapses=10, delays=["1,5", "1,8"], rate="50", duration=10.0, threads="1",
                      repeats=1)  # fmt: skip
    pictures = draw(measure(options))
    assert set(pictures) == {"simulation_against_size", "simulation_against_delay"}
    left, right = pictures["simulation_against_size"].axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "genn_delays, 1 thread, delays to 5", "genn_delays, 1 thread, delays to 8",
    ]  # fmt: skip
    for axes in (left, right):
        assert [list(line.get_xdata()) for line in axes.lines] == [[64, 100], [64, 100]]


def test_cuda_and_reference_without_memory(capsys, monkeypatch):
    """The host in the place of a GPU; without one there is one clear error."""

    def nothing():
        raise BackendUnavailableError("the NVIDIA driver sees no GPU")

    with monkeypatch.context() as patch:
        patch.setattr(real, "gpus", nothing)
        assert main(["benchmark", "simulation", *TINY, "--backend", "cuda"]) != 0
    assert "backend 'cuda' cannot run here: the NVIDIA driver sees no GPU" in capsys.readouterr().err
    monkeypatch.setitem(BACKENDS, "cuda", CUDAOnHost)
    options = [*TINY, "--duration", "20", "--rate", "100"]
    for backend in ("cuda", "reference"):
        (only,) = run(capsys, "simulation", *options, "--backend", backend)[0]["measurements"]
        assert (only["backend"], only["threads"], only["bytes"]) == (backend, None, None)
        assert only["figures"]["spikes_a_neuron_second"] == pytest.approx(100, rel=0.2)


@pytest.mark.genn
def test_beside_genn(capsys):
    """The same synapses and currents: neurons of both spike equally often."""
    if find_spec("pygenn") is None:
        pytest.skip("PyGeNN is not installed")
    found, _ = run(capsys, "simulation", *TINY, *SAMPLE, "--rate", "50", "--against", "genn")
    own, other = found["measurements"]
    assert (other["who"], other["backend"], other["threads"]) == ("genn", "genn", 1)
    assert found["machine"]["pygenn"]
    for name in ("spikes_a_neuron_second", "events_a_second"):
        ratio = 1.0 if name.startswith("spikes") else other["seconds"]["median"] / own["seconds"]["median"]
        assert own["figures"][name] == pytest.approx(other["figures"][name] * ratio, rel=1e-6)
    assert own["figures"]["times_as_fast_as_genn"] == other["seconds"]["median"] / own["seconds"]["median"]


@pytest.mark.skipif(find_spec("brian2") is None or shutil.which("make") is None, reason="Brian2 is not installed")
def test_beside_brian2(capsys):
    found, _ = run(capsys, "simulation", *TINY, *SAMPLE, "--rate", "50", "--against", "brian2")
    own, other = found["measurements"]
    assert (other["who"], other["threads"]) == ("brian2", 1)
    assert other["figures"]["spikes_a_neuron_second"] == pytest.approx(50, rel=0.02)
    assert own["figures"]["times_as_fast_as_brian2"] == other["seconds"]["median"] / own["seconds"]["median"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--sizes", "0"], "--sizes must be at least 1, got 0"),
        (["--sizes", "10,x"], "got 'x'"),
        (["--sizes", "2000,2000"], "2000 is given twice"),
        (["--synapses", "many"], "--synapses must be a whole number at least 1, got 'many'"),
        (["--synapses", "0"], "--synapses must be at least 1, got 0"),
        (["--sizes", "500"], "--synapses 1000: a network of 500 neurons has at most 500 for each"),
        (["--delays", "0,5"], "--delays must be from 1 to 65535, got 0"),
        (["--delays", "1,70000"], "--delays must be from 1 to 65535, got 70000"),
        (["--delays", "5"], "--delays must be the shortest and the longest, such as 1,25; got '5'"),
        (["--delays", "5,1"], "--delays: the shortest comes first, got '5,1'"),
        (["--delays", "1,a"], "got 'a'"),
        (["--delays", "1,5", "--delays", "1,5"], "(1, 5) is given twice"),
        (["--rate", "0"], "--rate must lie in (0, 500], got 0"),
        (["--rate", "600"], "--rate must lie in (0, 500], got 600"),
        (["--rate", "100,nan"], "got nan"),
        (["--rate", "5", "--dt", "200"], "--rate must lie in (0, 2.5], got 5"),
        (["--dt", "0"], "--dt must lie in (0, inf), got 0"),
        (["--duration", "0"], "--duration must lie in (0, inf), got 0"),
        (["--duration", "0.5"], "--duration must be a multiple of --dt, 1 ms, and at least that; got 0.5"),
        (["--duration", "1.05", "--dt", "0.1"], "--duration must be a multiple of --dt, 0.1 ms"),
        (["--duration", "long"], "got 'long'"),
        (["--threads", "0"], "--threads must be from 1 to 1024, got 0"),
        (["--threads", "1,1"], "1 is given twice"),
        (["--threads", "2", "--backend", "reference"], "--threads 2 is a setting of backend 'cpu'"),
        (["--backend", "genn"], "unknown --backend 'genn'"),
        (["--against", "nest"], "unknown --against 'nest'; known: brian2, genn"),
        (["--repeats", "0"], "--repeats must be from 1"),
        (["fsdd"], "benchmark simulation takes no further argument 'fsdd'"),
        (["--batch-size", "1"], "unknown option of benchmark simulation '--batch-size'"),
        (["--sizes", "1000,3000000"], "3,000,000,000 synapses, allowed are at most"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(capsys, arguments, named):
    assert main(["benchmark", "simulation", *arguments]) != 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert named in printed.err


def test_a_rival_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("genn_delays.benchmarks.simulation_options.brian2_version", lambda: None)
    assert main(["benchmark", "simulation", "--against", "brian2"]) != 0
    assert "--against brian2: Brian2 is not installed; pip install brian2" in capsys.readouterr().err


def test_usual_options():
    found = asked(Options(threads="1,2"), 5)
    assert found.points == (Point(10_000, 1000, (1, 25), 5.0, 1.0, 1000),)
    assert (found.threads, found.rivals, found.repeats) == ((1, 2), (), 5)
