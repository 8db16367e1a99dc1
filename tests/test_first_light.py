"""The script that proves and measures everything on a GPU, as far as it can be tried without one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "gpu_step_time" / "first_light.py"


@pytest.fixture(scope="module")
def script():
    found = importlib.util.spec_from_file_location("first_light", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_versions_that_the_library_refuses(script):
    fine = {"python": "3.12.3", "numpy": "2.1.0", "cuda-core": "1.2.2", "cuda-bindings": "13.2.0", "torch": "2.11"}
    older = {"cuda-bindings": "12.9.4", "pygenn": None}  # an extra for older drivers wants it
    assert script.refused({**fine, **older}) == []
    (python, numpy, core, bindings) = script.refused(
        {"python": "3.10.1", "numpy": "1.25", "cuda-core": "0.7.0", "cuda-bindings": "14.0", "torch": "1.0"}
    )
    assert python == "python 3.10.1 (wanted: >=3.11)" and numpy.startswith("numpy 1.25 (wanted: >=")
    assert core.startswith("cuda-core 0.7.0 (wanted: ") and ">=1" in core
    assert bindings.startswith("cuda-bindings 14.0 (wanted: ") and " or " in bindings


def test_what_needs_a_gpu_is_skipped_without_one(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["x", "--backend", "cpu", "--only", "tests,kernels", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["tests", "skipped"],
        ["kernels", "skipped"],
    ]
