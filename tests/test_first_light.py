"""The script that proves and measures everything on a GPU, as far as it can be tried without one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from genn_delays import CUDA, GeNN
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.runs.build import plan_of

SCRIPT = Path(__file__).parents[1] / "experiments" / "gpu_step_time" / "first_light.py"


@pytest.fixture(scope="module")
def script():
    """The script; modules beside it are found while its tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        found = importlib.util.spec_from_file_location("first_light", SCRIPT)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        yield module


def test_versions_that_the_library_refuses(script):
    fine = {"python": "3.12.3", "numpy": "2.1.0", "cuda-core": "1.2.2", "cuda-bindings": "13.2.0", "torch": "2.11"}
    older = {"cuda-bindings": "12.9.4", "pygenn": None}  # an extra for older drivers wants it
    assert script.proofs.refused({**fine, **older}) == []
    (python, numpy, core, bindings, torch) = script.proofs.refused(
        {"python": "3.10.1", "numpy": "1.25", "cuda-core": "0.7.0", "cuda-bindings": "14.0", "torch": "1.0"}
    )
    assert python == "python 3.10.1 (wanted: >=3.11)" and numpy.startswith("numpy 1.25 (wanted: >=")
    assert core.startswith("cuda-core 0.7.0 (wanted: ") and ">=1" in core
    assert bindings.startswith("cuda-bindings 14.0 (wanted: ") and " or " in bindings
    assert torch == "torch 1.0 (wanted: >=2.4)"


def test_what_needs_a_gpu_is_skipped_without_one(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["x", "--backend", "cpu", "--only", "tests,kernels", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["tests", "skipped"],
        ["kernels", "skipped"],
    ]


def test_long_delays_are_learned_by_both_methods(script):
    """The published shapes, small: their code is that of the large ones, so that it can be compiled ahead of them."""
    import long_delays

    for method in long_delays.METHODS:
        found = long_delays.step(long_delays.SMALL, method, "cpu", 1)
        assert found["ms"] > 0 and found["hidden spikes"] > 1
        sources = set()
        for shape in (long_delays.SMALL, *long_delays.PUBLISHED):
            compiler, network, learned = shape.described(method, "reference")
            plan = compiler.plan(network, **learned)
            sources.add(emit_cuda(plan, False))
            assert [c.real_delays for c in plan.connections] == [True, True, False]
            assert [c.max_delay for c in plan.connections] == [shape.longest, shape.longest, 0]
        assert len(sources) == 1
    assert [shape.longest for shape in long_delays.PUBLISHED] == [512, 64, 128]


@pytest.mark.parametrize("sparsity", [0.0, 0.99])
def test_the_code_of_wide_layers_is_that_of_narrow_ones(script, sparsity):
    import benchmark

    for shape in benchmark.SHAPES[3:]:
        few = script.measures.narrow(shape)
        assert few.hidden in ("64", "64,64") and few.model == shape.model
        configs = [benchmark.config_of(s, sparsity, "cuda") for s in (few, shape)]
        assert emit_cuda(plan_of(configs[0]), False) == emit_cuda(plan_of(configs[1]), False)
    assert [script.measures.narrow(shape) for shape in benchmark.SHAPES[:3]] == benchmark.SHAPES[:3]


def test_parts_of_genn_say_in_a_line_what_is_missing(script):
    found = GeNN("cuda").availability()
    if found.available:
        pytest.skip("GeNN's CUDA is here")
    with pytest.raises(script.SkippedError) as skipped:
        script.proofs.genn_on_cuda()
    assert str(skipped.value) == " ".join(found.detail.split())


def test_every_part_has_a_purpose_and_a_limit_within_a_run(script):
    assert all(part.work.__doc__ and 0 < part.limit <= 300 for part in script.PARTS.values())
    assert list(script.PARTS)[:6] == ["versions", "selftest", "tests", "sanitizer", "bits", "accuracy"]


def test_a_figure_that_cannot_be_measured_fails_its_part_after_the_others(script, tmp_path):
    """Each says why; here as there is no GPU."""
    import long_delays

    if CUDA().availability().available:
        pytest.skip("a GPU is here")
    rows = []
    with pytest.raises(script.PartError, match="6 of 6 figures could not be measured"):
        script.measures.long_steps(script.Where("cuda", tmp_path, lambda **row: rows.append(row)))
    assert len(rows) == 6 and all("BackendUnavailableError" in row["error"] for row in rows)
    assert {row["network"] for row in rows} == {str(shape) for shape in long_delays.PUBLISHED}


def test_the_pytorch_layer_needs_a_gpu(script, tmp_path):
    """Elsewhere a sentence says so."""
    with pytest.raises(script.SkippedError, match="needs a GPU; on the CPU the layer is measured by"):
        script.measures.torch_layer(script.Where("cpu", tmp_path, lambda **row: None))
    if not CUDA().availability().available:
        with pytest.raises(script.SkippedError, match=r"PyTorch (is not installed|.* sees no GPU)"):
            script.measures.torch_layer(script.Where("cuda", tmp_path, lambda **row: None))


@pytest.mark.torch
def test_what_is_measured_of_the_pytorch_layer(script, monkeypatch):
    """On this machine's processor, both sides of the comparison."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'genn-delays[torch]'")
    import torch_layer

    for kind in torch_layer.KINDS:
        found = torch_layer.difference(kind._replace(batch=2), "cpu", 30)
        torch_layer.check(found, kind)
        assert set(found["gradients"]) == {"input", "weight", *(["delay"] if kind.kernel else [])}
        with pytest.raises(script.PartError, match="is not the layer of the CPU"):
            torch_layer.check(found | {"equal": False}, kind)
    monkeypatch.syspath_prepend(str(SCRIPT.parents[1] / "torch_layer"))
    import step_time

    monkeypatch.setattr(step_time, "T", 4)
    monkeypatch.setattr(step_time, "B", 2)
    times = torch_layer.step_times((20, 10), "gaussian", "cpu", 1)
    assert set(times) == {"0.0 ms", "0.875 ms", "0.99 ms", "dense ms"} and min(times.values()) > 0


def test_simulations_that_differ_fail_their_part(script, tmp_path, monkeypatch):
    def other_spikes(*words):
        (spikes := Path(words[-1]) / "spikes").mkdir(parents=True)
        (spikes / "e.npz").write_text(words[-1])

    monkeypatch.setattr(script.proofs, "run", other_spikes)
    with pytest.raises(script.PartError, match="spikes of cpu and reference differ"):
        script.proofs.simulation(script.Where("cpu", tmp_path, lambda **row: None))
