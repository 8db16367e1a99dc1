"""Simulations from model files: what is kept, what can be set, and what is refused."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import tomli_w
from cuda_on_host import CUDAOnHost
from refused import refused

from genn_delays import SimulationCompiler
from genn_delays.analysis import spike_trains
from genn_delays.backends import BACKENDS
from genn_delays.backends.cuda import real
from genn_delays.errors import BackendUnavailableError, InvalidValueError, RunFolderError
from genn_delays.runs.build_simulation import build_scaled_network, validate_simulation
from genn_delays.runs.models import load_model, load_simulation_model, model_names
from genn_delays.runs.settings import with_settings
from genn_delays.runs.simulated import SimulationConfig, SimulationOverrides

SMALL = """
[model]
name = "noisy"

[network]
seed = 3

[[populations]]
name = "source"
neuron = "poisson_input"
size = 20
rate = { kind = "uniform", low = 20.0, high = 60.0 }

[[populations]]
name = "e/1"
neuron = "leaky_integrate_fire"
size = 50
tau_refrac = 2.0
drives = [
    { kind = "poisson_drive", rate = 3000.0, weight = 0.6, synapse = { kind = "exponential", tau = 5.0 } },
    { kind = "noise_current", sd = 0.1 },
]

[[populations]]
name = "membrane"
neuron = "leaky_integrate"
size = 2

[[connections]]
source = "source"
target = "e/1"
connectivity = "fixed_in_degree"
n = 5
weight = 0.2
delay = { kind = "uniform_int", low = 0, high = 20 }

[[connections]]
source = "e/1"
target = "e/1"
connectivity = "fixed_total_number"
n = 300
multapses = true
weight = { kind = "normal", mean = -0.05, sd = 0.01 }
delay = 3
synapse = { kind = "exponential", tau = 10.0 }

[[connections]]
source = "e/1"
target = "membrane"
connectivity = "dense"
weight = 0.1
delay = 1

[simulation]
duration = 60.0
dt = 0.5
transient = 10.0

[simulation.record]
source = "spikes"
"e/1" = ["spikes", "v", { variable = "i_syn", neurons = [0, 7], every = 4 }]
"""


@pytest.fixture
def noisy(tmp_path):
    """Writes the small model, with texts replaced."""

    def write(*replacements):
        text = SMALL
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "noisy.toml"
        path.write_text(text)
        return path

    return write


def contents(folder):
    """All arrays of a folder by file and name."""
    found = {}
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path) as arrays:
            found |= {f"{path.relative_to(folder)} {name}": arrays[name] for name in arrays}
    return found


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_the_simulation_did_and_gives_it_again(call, noisy, tmp_path):
    """As SimulationCompiler does it from the same network; its config.toml gives the same bits on another backend and
    number of threads."""
    out = tmp_path / "one"
    done = call("simulate", noisy(), "--out", out, "--json", "--quiet")
    assert done.status == 0 and done.err == ""
    found, kept = json.loads(done.out), contents(out)
    assert json.loads((out / "result.json").read_text()) == found
    network = build_scaled_network(load_simulation_model(str(noisy())))
    with SimulationCompiler(0.5).compile(network, {"source": "spikes", "e/1": ["spikes", "v", "i_syn"]}) as simulation:
        simulation.run(60.0, progress=False)
        for name, file in (("source", "source"), ("e/1", "e_1")):
            times, neurons = simulation.spikes(name)
            assert times.size > 20
            np.testing.assert_array_equal(kept[f"spikes/{file}.npz times"], times)
            np.testing.assert_array_equal(kept[f"spikes/{file}.npz neurons"], neurons)
            figures = next(p for p in found["populations"] if p["name"] == name)
            trains = spike_trains(times, neurons, figures["neurons"], 60.0, start=10.0)
            assert figures["spikes"] == trains.counts.sum() and figures["silent"] == trains.silent
            assert figures["rate"] == pytest.approx(trains.rate, abs=1e-4)
        np.testing.assert_array_equal(kept["traces/e_1.npz v"], simulation.trace("e/1", "v")[1])
        np.testing.assert_array_equal(kept["traces/e_1.npz i_syn"], simulation.trace("e/1", "i_syn")[1][::4, [0, 7]])
    assert found["synapses"] == 50 * 5 + 300 + 100 and found["neurons"] == 72
    assert found["real_time_factor"] == pytest.approx(found["run_seconds"] / 0.06, rel=1e-2)
    for number, options in enumerate((["--backend", "reference"], ["--threads", "2"])):
        again = tmp_path / f"again{number}"
        assert call("simulate", out / "config.toml", "--out", again, "--quiet", *options).status == 0
        assert contents(again).keys() == kept.keys()
        assert all(np.array_equal(array, kept[name]) for name, array in contents(again).items())


def test_everything_that_was_set_is_in_the_configuration(call, noisy, tmp_path):
    out = tmp_path / "run"
    options = ["--duration", 20, "--seed", 8, "--threads", 1, "--set", 'populations."e/1".drives=[]']
    options += ["--set", "simulation.transient=0", "--set", "simulation.dt=0.25"]
    options += ["--set", 'simulation.record={"e/1"="v"}']
    done = call("simulate", noisy(), "--out", out, *options, "--json")
    assert done.status == 0, done.err
    kept = tomllib.loads((out / "config.toml").read_text())
    assert kept["network"]["seed"] == kept["simulation"]["rng_seed"] == 8
    assert kept["simulation"]["dt"] == 0.25 and kept["simulation"]["duration"] == 20.0
    assert "drives" not in kept["populations"][1] and kept["versions"]["genn_delays"]
    assert json.loads(done.out)["populations"] == [] and not (out / "spikes").exists()


def test_pictures_are_the_same_for_the_same_simulation(call, noisy, tmp_path, pictures):
    for name in ("a", "b"):
        assert call("simulate", noisy(), "--out", tmp_path / name, "--quiet").status == 0
    for file in ("raster.png", "raster.pdf", "rates.png", "rates.pdf"):
        one, other = ((tmp_path / name / file).read_bytes() for name in ("a", "b"))
        assert len(one) > 5000 and one == other


def test_the_summary_names_rates_and_the_real_time_factor(call, noisy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("simulate", noisy())
    assert done.status == 0 and (tmp_path / "runs" / "noisy-001" / "result.json").is_file()
    for text in ("real-time factor", "built in", "rate (Hz)", "CV of ISI", "runs/noisy-001", "72 neurons"):
        assert text in done.out


def test_a_full_folder_is_not_written_to(call, noisy, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    done = call("simulate", noisy(), "--out", tmp_path / "full")
    assert done.status == 2 and "is not empty" in done.err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", model_names(kind="simulation"))
def test_models_of_the_library_go_round_and_can_be_built(name):
    config = load_simulation_model(name)
    assert SimulationConfig.from_tables(tomllib.loads(tomli_w.dumps(config.tables()))) == config
    assert config.model.name == name
    assert config.model.description and config.model.citation and config.model.expected
    validate_simulation(config)
    if config.simulation.rates or config.simulation.scaling == "neurons":
        validate_simulation(SimulationOverrides(scale=0.2).apply(config))


@pytest.mark.parametrize("name", ["brunel", "vogels_abbott_cuba"])
def test_every_key_can_be_set_to_its_own_value(name):
    config = load_simulation_model(name)
    tables = config.tables()
    settings = {f"simulation.{key}": value for key, value in tables["simulation"].items()}
    settings |= {f"populations.{p['name']}.{k}": v for p in tables["populations"] for k, v in p.items()}
    assert with_settings(config, settings) == config


@pytest.mark.parametrize(
    ("name", "duration", "rates", "irregular", "rhythm"),
    [
        ("vogels_abbott_coba", 1700, (14, 24), 1.2, None),
        ("vogels_abbott_cuba", 2200, (4.5, 6.5), 0.5, None),
        ("izhikevich_1000", 2500, (4, 7), 0.4, 4),
    ],
)
def test_networks_that_keep_themselves_going(call, tmp_path, name, duration, rates, irregular, rhythm):
    """At half their size they have the published state: rates, irregular spikes, the rhythm of the first one that has
    one."""
    args = ("--scale", 0.5, "--duration", duration, "--out", tmp_path / "run", "--json", "--quiet")
    done = call("simulate", name, *args)
    assert done.status == 0, done.err
    result = json.loads(done.out)
    e, i = result["populations"]
    assert [e["name"], i["name"]] == ["E", "I"] and result["scale"] == 0.5
    assert rates[0] < e["rate"] < rates[1] and e["cv_isi"] > irregular and abs(e["correlation"]) < 0.1
    assert rhythm is None or 1 <= e["rhythm"] <= rhythm


def test_models_have_a_kind(call):
    trained, simulated = model_names(kind="training"), model_names(kind="simulation")
    assert sorted([*trained, *simulated]) == model_names()
    assert {"brunel", "brunel_sr", "potjans_diesmann", "vogels_abbott_cuba"} <= set(simulated)
    assert "digits" in trained and "shd_dcls_2l_2kc" in trained
    lines = {line.split()[0]: line for line in call("info").out.splitlines() if line.strip()}
    assert "brunel_sr" in lines["simulations"] and "brunel" not in lines["models"] and "digits" in lines["models"]


def test_the_microcircuit_has_the_published_numbers():
    """Of 77,169 neurons and about 0.3 billion synapses; L4E has 2,100 external inputs of 8 Hz."""
    config = load_simulation_model("potjans_diesmann")
    assert sum(p.size for p in config.populations) == 77169
    assert 298.8e6 < sum(c.connectivity["n"] for c in config.connections) < 299e6
    assert config.populations[2].drives["rate"] == 8 * 2100
    twice = [c for c in config.connections if c.connectivity["weight"]["mean"] > 0.5]
    assert [(c.source, c.target) for c in twice] == [("L4E", "L23E")]


def test_a_model_that_extends_another_differs_in_its_overrides():
    base, other = (load_simulation_model(name) for name in ("brunel", "brunel_si_fast"))
    assert other.populations[0].drives["rate"] == 2 * base.populations[0].drives["rate"]
    weights = [[c.connectivity["weight"] for c in config.connections] for config in (base, other)]
    assert weights[0][:2] == weights[1][:2] and weights[1][2] == pytest.approx(weights[0][2] * 6 / 5, rel=1e-5)
    assert replace(other, model=base.model, populations=base.populations, connections=base.connections) != other


# --- refused ---------------------------------------------------------------------------------------------------------


def test_each_command_names_the_one_for_the_other_kind(call, noisy, small, tmp_path):
    for command, model, parts in (
        ("train", noisy(), ("[simulation]", "genn-delays simulate")),
        ("train", "brunel", ("model 'brunel'", "[simulation]", "genn-delays simulate")),
        ("train", "brunel_sr", ("model 'brunel_sr'", "genn-delays simulate")),
        ("show-code", "brunel", ("genn-delays simulate",)),
        ("simulate", small(), ("[training]", "genn-delays train")),
        ("simulate", "digits", ("model 'digits'", "[training]", "genn-delays train")),
        ("simulate", "shd_dcls_2l_2kc", ("model 'shd_dcls_2l_2kc'", "genn-delays train")),
    ):
        done = call(command, model)
        assert done.status == 2 and done.out == "" and done.err.count("\n") == 1
        assert all(part in done.err for part in parts), done.err


def test_a_simulations_folder_is_no_training_run(call, noisy, tmp_path):
    assert call("simulate", noisy(), "--out", tmp_path / "run", "--quiet").status == 0
    done = call("evaluate", tmp_path / "run")
    assert done.status == 2 and "not the folder of a training run but of a simulation" in done.err


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("duration = 60.0", "duration = 60.2", ("duration", "multiple of dt = 0.5 ms", "60.2", "60 and 60.5")),
        ("duration = 60.0", "duration = 0.2", ("duration", "0.2", "near: 0.5")),
        ("duration = 60.0", "duration = -1.0", ("duration", "-1")),
        ("duration = 60.0", 'duration = "long"', ("duration", "long")),
        ("duration = 60.0\n", "", ("[simulation] lacks 'duration'",)),
        ("transient = 10.0", "transient = 60.0", ("transient", "below the duration of 60 ms", "60")),
        ("dt = 0.5", "dt = 0.0", ("[simulation] dt", "0")),
        ("dt = 0.5", "dt = 0.5\nscale = 0.0", ("[simulation] scale", "(0, 1]", "0")),
        ("dt = 0.5", "dt = 0.5\nscale = 1.5", ("[simulation] scale", "1.5")),
        ("dt = 0.5", "dt = 0.5\nscael = 0.5", ("key of [simulation]", "scael", "scale")),
        ("dt = 0.5", 'dt = 0.5\nbackend = "gpu"', ("backend in [simulation]", "gpu")),
        ("dt = 0.5", 'dt = 0.5\nbackend = "genn"', ("backend of simulations", "genn")),
        ("dt = 0.5", "dt = 0.5\nthreads = 0", ("[simulation] threads", "0")),
        ("dt = 0.5", "dt = 0.5\nrates = { sauce = 1.0 }", ("population in [simulation.rates]", "sauce", "source")),
        ('source = "spikes"', 'sauce = "spikes"', ("population in [simulation.record]", "sauce", "source")),
        ('source = "spikes"', 'source = "v"', ("variable in [simulation] record source", "'v'", "spikes")),
        ('source = "spikes"', 'membrane = "spikes"', ("population 'membrane' does not spike",)),
        ('source = "spikes"', "source = 3", ("[simulation] record source", "3")),
        ("every = 4", "every = 0", ("[simulation] record e/1", "every", "0")),
        ('{ kind = "noise_current", sd = 0.1 }', '{ kind = "noise", sd = 0.1 }', ("drive", "noise", "noise_current")),
        ("weight = 0.6", "waight = 0.6", ("drives number 1", "waight", "weight")),
        ("tau = 5.0", "tau = -5.0", ("[[populations]] 'e/1' drives synapse", "tau", "-5")),
        ("[simulation]\n", "[training]\n[simulation]\n", ("[training] as well",)),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(noisy, old, new, parts):
    with refused(*parts):
        validate_simulation(load_simulation_model(str(noisy((old, new)))))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--duration", "60.2"], ("--duration", "multiple of dt = 0.5 ms", "60.2")),
        (["--duration", "5"], ("transient", "below the duration of 5 ms", "simulation.transient=0")),
        (["--scale", "0"], ("--scale", "0")),
        (["--scale", "2"], ("--scale", "2")),
        (["--scale", "0.5"], ("scale 0.5 needs the mean rate of population 'e/1'", "rates.e/1")),
        (["--threads", "x"], ("--threads", "x")),
        (["--backend", "genn"], ("backend of simulations", "genn", "cpu, cuda, reference")),
        (["--seed", "-1"], ("--seed", "-1")),
        (["--dt", "0.1"], ("unknown option of simulate '--dt'", "--set simulation.dt=VALUE")),
        (["--set", "training.dataset=digits"], ("training", "simulation")),
        (["--set", "duration=60.2"], ("duration", "60.2")),
        (["--set", "populations.membrane.drives.rate=3"], ("setting populations.membrane.drives.rate",)),
    ],
)
def test_bad_options_are_one_clear_error(call, noisy, tmp_path, options, parts):
    done = call("simulate", noisy(), "--out", tmp_path / "run", *options)
    assert done.status == 2 and done.out == "" and done.err.count("\n") == 1
    assert all(part in done.err for part in parts), done.err
    assert not (tmp_path / "run").exists()


def test_cuda_gives_the_same_folder(call, noisy, tmp_path, monkeypatch):
    """The host in the place of a GPU; without one there is one clear error, and no folder."""
    out = {name: tmp_path / name for name in ("cpu", "cuda", "nothing")}

    def nothing():
        raise BackendUnavailableError("the NVIDIA driver sees no GPU")

    with monkeypatch.context() as patch:
        patch.setattr(real, "gpus", nothing)
        done = call("simulate", noisy(), "--out", out["nothing"], "--backend", "cuda")
    assert done.status == 2 and "sees no GPU" in done.err and done.err.count("\n") == 1
    assert not out["nothing"].exists()
    monkeypatch.setitem(BACKENDS, "cuda", CUDAOnHost)
    for name in ("cpu", "cuda"):
        done = call("simulate", noisy(), "--out", out[name], "--backend", name, "--quiet", "--json")
        assert done.status == 0 and json.loads(done.out)["backend"] == name, done.err
    found, expected = contents(out["cuda"]), contents(out["cpu"])
    assert found.keys() == expected.keys() and len(found) > 3
    assert all(np.array_equal(array, expected[name]) for name, array in found.items())


def test_what_is_no_model(tmp_path, noisy):
    with refused("model (a name, or the path", "brunell", "brunel"):
        load_simulation_model("brunell")
    with refused("a model lacks its section [simulation]"):
        SimulationConfig.from_tables({"model": {"name": "x"}})
    with refused("run folder", "no run folder", error=RunFolderError):
        from genn_delays.runs.folder import RunFolder

        RunFolder(tmp_path / "none").read_config()


def test_settings_may_name_every_drive(noisy):
    config = load_simulation_model("brunel")
    found = with_settings(config, {"populations.*.drives.rate": 9000.0, "scale": 0.5})
    assert [p.drives["rate"] for p in found.populations] == [9000.0, 9000.0] and found.simulation.scale == 0.5
    with pytest.raises(InvalidValueError):
        load_model("brunel")
