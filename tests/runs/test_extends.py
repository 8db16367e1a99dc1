"""Models that build on others, models of the papers, examples longer than the data's, and bias in a model file."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import tomli_w
from refused import refused

from genn_delays import Connection, FixedNumber, Input, LeakyIntegrate, LeakyIntegrateFire, Network, Population, Uniform
from genn_delays.datasets import DATASETS, Dataset, Events
from genn_delays.runs.build import build_network, compile_network, load_data, plan_of, validate
from genn_delays.runs.config import Config
from genn_delays.runs.models import load_model, model_names
from genn_delays.runs.overrides import Overrides

PAPER = ("shd", "ssc", "gsc")


@pytest.fixture
def extended(small, tmp_path):
    """Loads a model of these texts that extends the small one, which is the only named one."""

    def load(text: str, name: str = "more") -> Config:
        path = tmp_path / f"{name}.txt.toml"
        path.write_text(text)
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        (folder / "small.toml").write_text(small().read_text())
        return load_model(str(path), folder)

    return load


# --- extends ---------------------------------------------------------------------------------------------------------


def test_what_is_not_said_is_the_base_models(extended, small):
    """Settings go through the command line's, keys of sections replace the base's, one by one."""
    base = Config.from_tables(tomllib.loads(small().read_text()))
    found = extended(
        """
        [model]
        name = "more"
        extends = "small"
        description = "more of it"
        [overrides]
        kernel_count = 2
        hidden = "32,16"
        delays = "learned"
        sparsity = 0.5
        [compiler]
        batch_size = 16
        [training]
        optimiser = { kind = "sgd", alpha = 0.5 }
        [network]
        seed = 3
        [rewiring]
        l1 = 0.5
        """
    )
    expected = Overrides(kernel_count=2, hidden="32,16", delays="learned", sparsity=0.5).apply(base).tables()
    expected["model"] = {"name": "more", "description": "more of it"}
    expected["compiler"]["batch_size"] = 16
    expected["training"]["optimiser"] = {"kind": "sgd", "alpha": 0.5}
    expected["network"] = {"seed": 3}
    expected["rewiring"]["l1"] = 0.5
    assert found == Config.from_tables(expected)
    assert found.compiler.example_timesteps == base.compiler.example_timesteps
    assert "extends" not in found.tables()["model"]
    validate(found)


def test_nothing_but_a_name_is_the_base_model(extended, small):
    found = extended('model = { name = "twin", extends = "small", description = "x" }')
    expected = Config.from_tables(tomllib.loads(small().read_text())).tables()
    assert found.tables() == {**expected, "model": {"name": "twin", "description": "x"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('extends = "smal"', ("[model] extends", "'smal'", "Did you mean 'small'?")),
        ('extends = "../small"', ("[model] extends", "'../small'", "known: small")),
        ("extends = 3", ("[model] extends", "3", "small")),
        ('extends = "small"\n[overrides]\nsparsty = 0.5', ("[overrides]", "'sparsty'", "'sparsity'")),
        ('extends = "small"\n[overrides]\nsparsity = 1.0', ("--sparsity", "[0, 1)", "1.0")),
        ('extends = "small"\n[overrides]\nhidden = "a"', ("--hidden", "'a'")),
        ('extends = "small"\n[overrides]\nkernel_count = 0', ("--kernel-count", "at least 1", "0")),
        ('extends = "small"\n[compiler]\nbatchsize = 3', ("[compiler]", "'batchsize'", "'batch_size'")),
        ('extends = "small"\n[compilers]\nbatch_size = 3', ("'compilers'", "'compiler'")),
        (
            'extends = "small"\n[[populations]]\nname = "h"\nneuron = "input"\nsize = 3',
            ("extends another", "[[populations]]", "[overrides]"),
        ),
        (
            'extends = "small"\n[[connections]]\nsource = "a"\ntarget = "b"\nconnectivity = "dense"',
            ("extends another", "[[connections]]", "[overrides]"),
        ),
    ],
)
def test_extensions_that_cannot_be(extended, text, words):
    with refused(*words):
        extended(f'[model]\nname = "more"\n{text}')


def test_overrides_without_a_base(small, tmp_path):
    path = small()
    path.write_text(path.read_text() + "[overrides]\nsparsity = 0.5\n")
    with refused("'overrides'"):
        load_model(str(path))


def test_a_model_that_extends_itself(tmp_path):
    (tmp_path / "ring.toml").write_text('[model]\nname = "ring"\nextends = "ring"')
    with refused("[model] extends", "'ring'"):
        load_model("ring", tmp_path)


def test_a_run_of_an_extension_needs_its_base_no_more(call, small, tmp_path, monkeypatch):
    """config.toml holds the whole network, so that the run goes on though both models are gone."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "small.toml").write_text(small().read_text())
    path = tmp_path / "more.toml"
    path.write_text('[model]\nname = "more"\nextends = "small"\n[overrides]\nhidden = "16"')
    monkeypatch.setattr("genn_delays.runs.models.models_folder", lambda: folder)
    out = tmp_path / "run"
    assert call("train", path, "--epochs", 1, "--out", out, "--quiet").status == 0
    for file in (path, folder / "small.toml"):
        file.unlink()
    assert call("train", "--resume", "--epochs", 2, "--out", out, "--quiet").status == 0
    assert "extends" not in (out / "config.toml").read_text()


# --- the models of the library ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", model_names(kind="training"))
def test_every_model_has_a_plan(name):
    """Nothing is sampled for it but what rewiring asks for, and its tables give the same plan's numbers."""
    config = load_model(name)
    plan, again = (plan_of(c) for c in (config, Config.from_tables(tomllib.loads(tomli_w.dumps(config.tables())))))
    assert plan.time_steps == config.compiler.example_timesteps
    assert [p.name for p in plan.outputs] == [config.populations[-1].name]
    for one, two in zip(plan.connections, again.connections, strict=True):
        assert (one.name, one.optimiser, one.delay_optimiser, one.kernel, one.rewiring, one.capacity) == (
            two.name, two.optimiser, two.delay_optimiser, two.kernel, two.rewiring, two.capacity
        )  # fmt: skip


@pytest.mark.parametrize("data", PAPER)
def test_the_papers_names_say_what_they_are(data):
    """KC counts synapses of a pair, L layers of synapses; all else is alike but for the length of an example."""
    first = load_model(f"{data}_dcls_2l_1kc")
    size = {"shd": 256, "ssc": 512, "gsc": 512}[data]
    for layers in (2, 3):
        for count in (1, 2):
            found = load_model(f"{data}_dcls_{layers}l_{count}kc")
            network = build_network(found)
            assert [p.size for p in found.populations[1:-1]] == [size] * layers
            assert all(p.batch_norm and p.dropout == first.populations[1].dropout for p in found.populations[1:-1])
            assert [c.connectivity.kernel_count for c in network.connections] == [count] * (layers + 1)
            assert (found.training, found.rewiring) == (first.training, first.rewiring)
            longer = found.compiler.example_timesteps - first.compiler.example_timesteps
            assert longer == (layers - 2) * {"shd": 12, "ssc": 15, "gsc": 15}[data]
    one, two = (load_model(f"{data}_dcls_2l_{count}kc") for count in (1, 2))
    assert [2 * c.size for c in plan_of(one).connections] == [c.size for c in plan_of(two).connections]


# --- the length of an example ----------------------------------------------------------------------------------------


def dense(steps: int, inputs: int = 5) -> Dataset:
    random = np.random.default_rng(0)
    x, y = random.random((12, steps, inputs)).astype(np.float32), np.arange(12) % 3
    return Dataset("tiny", "nobody", "none", inputs, 3, steps, x, y, x[:6], y[:6])


def test_empty_frames_follow_short_examples():
    data = dense(7)
    longer = data.lengthened(10)
    assert longer.example_timesteps == 10 and longer.kind == "dense"
    for before, after in ((data.x_train, longer.x_train), (data.x_test, longer.x_test)):
        np.testing.assert_array_equal(after[:, :7], before)
        assert after.shape[1] == 10 and not after[:, 7:].any() and after.dtype == np.float32
    np.testing.assert_array_equal(longer.y_train, data.y_train)
    assert data.lengthened(7) is data


def test_spikes_need_no_empty_frames():
    spikes = [Events(np.array([0.5]), np.array([1]))] * 2
    data = Dataset("tiny", "", "", 5, 2, 7, spikes, np.arange(2), spikes, np.arange(2))
    assert data.lengthened(10) is data


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes a model for :func:`dense` of 7 steps, which is a data set of that many."""

    def write(steps: int):
        path = tmp_path / "tiny.toml"
        path.write_text(
            f"""
            [model]
            name = "tiny"
            [[populations]]
            name = "in"
            neuron = "input"
            size = 5
            [[populations]]
            name = "out"
            neuron = "leaky_integrate"
            size = 3
            readout = "var"
            [[connections]]
            source = "in"
            target = "out"
            connectivity = "dense"
            delay = 2
            [compiler]
            example_timesteps = {steps}
            batch_size = 4
            backend = "reference"
            [training]
            dataset = "digits"
            num_epochs = 1
            """
        )
        return path

    monkeypatch.setitem(DATASETS, "digits", lambda *arguments, **named: dense(7))
    return write


@pytest.mark.parametrize("steps", [7, 9, 30])
def test_a_run_lasts_as_long_as_the_model_says(call, tiny, tmp_path, steps):
    """Frames that are missing are empty; those that are there are the data's."""
    config = load_model(str(tiny(steps)))
    data = load_data(config)
    assert data.x_train.shape == (12, steps, 5)
    np.testing.assert_array_equal(data.x_train[:, :7], dense(7).x_train)
    done = call("train", tiny(steps), "--out", tmp_path / "run", "--quiet")
    assert done.status == 0, done.err


def test_a_run_shorter_than_the_data_is_refused(call, tiny, tmp_path):
    done = call("train", tiny(6), "--out", tmp_path / "run", "--quiet")
    assert done.status == 2 and len(done.err.splitlines()) == 1
    for word in ("lasts 7 time steps", "at least as many", "got 6 steps of 1 ms"):
        assert word in done.err
    assert not (tmp_path / "run").exists()


# --- bias ------------------------------------------------------------------------------------------------------------


def with_bias(tables: dict, bias: object, population: int = 1) -> Config:
    tables["populations"][population]["bias"] = bias
    return Config.from_tables(tables)


BIASES = {
    "number": (0.25, np.full(64, 0.25)),
    "list": ([n / 64 for n in range(64)], np.arange(64) / 64),
    "uniform": ({"kind": "uniform", "low": -0.5, "high": 1.5}, None),
}


@pytest.mark.parametrize("name", BIASES)
def test_bias_in_a_model_file(small, name):
    """It is a constant current of every neuron, that of ``Population(bias=...)``, and goes round as TOML."""
    given, values = BIASES[name]
    config = with_bias(tomllib.loads(small().read_text()), given)
    assert Config.from_tables(tomllib.loads(tomli_w.dumps(config.tables()))) == config
    found = build_network(config).populations[1].parameters()["bias"]
    if values is None:
        assert found.min() > -0.5 and found.max() < 1.5 and np.ptp(found) > 1
        again = build_network(Overrides(seed=1).apply(config)).populations[1].parameters()["bias"]
        assert not np.isin(again, found).any()
    else:
        np.testing.assert_array_equal(found, values)
    assert "bias" not in config.tables()["populations"][0]
    zero = with_bias(tomllib.loads(small().read_text()), 0.0)
    assert "bias" not in zero.tables()["populations"][1]


def test_bias_drawn_from_uniform_is_what_the_library_draws(small):
    """Without input a neuron's first potential is its bias, on both backends, whether a file or a script says so."""
    config = with_bias(tomllib.loads(small().read_text()), {"kind": "uniform", "low": 0.1, "high": 0.4})
    network = Network(seed=0)
    with network:
        a = Population(Input(), 64, name="pixels")
        h = Population(LeakyIntegrateFire(tau_mem=30.0), 64, name="hidden", bias=Uniform(0.1, 0.4))
        o = Population(LeakyIntegrate(readout="sum_var"), 10)
        for source, target in ((a, h), (h, o)):
            Connection(source, target, FixedNumber(sparsity=0.75))
    expected = network.populations[1].parameters()["bias"]
    np.testing.assert_array_equal(build_network(config).populations[1].parameters()["bias"], expected)
    silent = {"pixels": [(np.empty(0), np.empty(0, np.int64))]}
    for backend in ("cpu", "reference"):
        with compile_network(Overrides(backend=backend, batch_size=1).apply(config)) as compiled:
            compiled.engine.keep_variables(1)
            compiled.predict(silent)
            v = compiled.engine.variable(1, "v")[:, 0, 0]
        np.testing.assert_array_equal(v, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("bias", "population", "changes", "words"),
    [
        ("strong", 1, {}, ("'hidden'", "bias", "'strong'")),
        ([0.1, 0.2], 1, {}, ("bias of population 'hidden'", "64")),
        ({"kind": "unifrom", "low": 0.0, "high": 1.0}, 1, {}, ("'hidden' bias", "'unifrom'", "'uniform'")),
        ({"kind": "uniform", "low": 1.0, "high": 0.0}, 1, {}, ("'hidden' bias", "Uniform high", "0.0")),
        ({"kind": "uniform", "lo": 1.0}, 1, {}, ("'hidden' bias", "'lo'", "'low'")),
        (float("nan"), 1, {}, ("bias of population 'hidden'", "nan")),
        (0.5, 0, {}, ("bias 0.5", "'pixels' is an input")),
        (0.5, 1, {"batch_norm": True}, ("bias 0.5", "'hidden' has batch_norm")),
    ],
)
def test_bad_bias(small, bias, population, changes, words):
    tables = tomllib.loads(small().read_text())
    tables["populations"][population] |= changes
    with refused(*words):
        plan_of(with_bias(tables, bias, population))
