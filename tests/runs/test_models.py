"""Where models come from: the library's own by name, in a checkout and in a wheel, and files by path."""

from __future__ import annotations

import shutil

import pytest

import genn_delays
from genn_delays.errors import InvalidValueError
from genn_delays.runs.models import load_model, model_names, models_folder

PYTHON = """
import tomllib
from pathlib import Path
import numpy as np

def build():
    tables = tomllib.loads(Path(__file__).with_name("small.toml").read_text())
    tables["model"]["name"] = "made"
    tables["populations"][1]["tau_mem"] = np.full(64, 25.0)
    return tables
"""


def test_models_beside_the_package_in_a_checkout():
    assert {"digits", "fsdd"} <= set(model_names())


def test_models_in_the_package_of_a_wheel(tmp_path, small):
    package = tmp_path / "site-packages" / "genn_delays"
    (package / "_models").mkdir(parents=True)
    (tmp_path / "site-packages" / "models").mkdir()  # somebody else's
    shutil.copy(small(), package / "_models" / "small.toml")
    folder = models_folder(package)
    assert folder == package / "_models"
    assert model_names(folder) == ["small"]
    assert load_model("small", folder).model.name == "small"


def test_the_wheel_carries_the_models():
    import tomllib
    from pathlib import Path

    pyproject = Path(genn_delays.__file__).parents[1] / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("an installed package")
    targets = tomllib.loads(pyproject.read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["force-include"] == {"models": "genn_delays/_models"}


@pytest.mark.parametrize("data", ["fsdd", "rawhd"])
def test_models_of_the_published_neuron_differ_in_the_neuron_and_have_full_weights(data):
    base, twin = (load_model(name).tables() for name in (f"{data}_paper", f"{data}_paper_published_neuron"))
    assert twin["connections"][1]["weight"] == {"kind": "kaiming_uniform", "gain": 1.0}
    base["connections"][1]["weight"] = twin["connections"][1]["weight"]
    late = [p.pop("input_latency", None) for p in twin["populations"]]
    assert (late, twin["populations"][1].pop("tau_refrac")) == ([None, 2, 1], 1.0)
    assert [p.pop("input_latency", None) for p in base["populations"]] == [None, 0, 0]
    for tables in (base, twin):
        del tables["model"]
    assert twin == base


def test_a_python_file_is_a_model(call, small, tmp_path):
    small()
    (tmp_path / "made.py").write_text(PYTHON)
    out = tmp_path / "run"
    assert call("train", tmp_path / "made.py", "--out", out, "--epochs", 1, "--quiet").status == 0
    assert "tau_mem = [" in (out / "config.toml").read_text()
    (tmp_path / "made.py").unlink()  # the run needs it no more
    assert call("evaluate", out, "--quiet").status == 0
    assert call("train", "--resume", "--out", out, "--epochs", 2, "--quiet").status == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x = 1", "must define build()"),
        ("def build():\n    return 3", "a model must be a table, got 3"),
        ("def build():\n    return 1 / 0", "ZeroDivisionError"),
        ("def build(:", "SyntaxError"),
        ("import sys\ndef build():\n    return {'model': {'name': 'x'}}", "[populations]"),
        ("def build():\n    return {'model': {3: 'x'}}", "3"),
    ],
)
def test_python_files_that_do_not_work(call, tmp_path, text, named):
    path = tmp_path / "made.py"
    path.write_text(text)
    done = call("train", path, "--out", tmp_path / "run")
    assert done.status == 2
    assert named in done.err and str(path) in done.err
    assert "Traceback" not in done.err and len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("digitz", ["'digitz'", "Did you mean 'digits'?", "fsdd"]),
        ("none.toml", ["none.toml", "digits"]),
        ("../digits", ["no model file ../digits"]),
    ],
)
def test_unknown_models(name, named):
    with pytest.raises(InvalidValueError) as caught:
        load_model(name)
    for text in named:
        assert text in str(caught.value)


def test_a_file_that_is_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    for content in (b"[model", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InvalidValueError, match=r"broken\.toml is not a TOML file"):
            load_model(str(path))
