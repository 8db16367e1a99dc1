"""Every benchmark runs on a tiny network, says what it was made of, and refuses what it cannot do in one line."""

import json

import pytest

from genn_delays.benchmarks.run import BENCHMARKS
from genn_delays.cli import main

FIELDS = {"what", "who", "parameters", "backend", "threads", "seconds", "bytes", "figures", "machine"}
MACHINE = {"processor", "cores", "memory_bytes", "load", "system", "compiler", "compiler_flags", "python", "numpy",
           "genn_delays"}  # fmt: skip
STATISTICS = {"median", "lower_quartile", "upper_quartile", "best", "worst", "repeats", "all"}
TINY = ["--batch-size", "4", "--threads", "1", "--repeats", "1"]
HIDDEN = ["--hidden", "16"]


def run(capsys, *arguments):
    """The JSON object that a benchmark prints, its fields checked."""
    assert main(["benchmark", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    found = json.loads(printed.out)
    assert set(found) == {"benchmark", "settings", "machine", "measurements"}
    assert found["benchmark"] == arguments[0]
    assert found["measurements"]
    for m in found["measurements"]:
        assert set(m) == FIELDS
        assert set(m["machine"]) >= MACHINE
        if m["seconds"] is not None:
            assert set(m["seconds"]) == STATISTICS
            assert len(m["seconds"]["all"]) == m["seconds"]["repeats"]
            assert all(s > 0 for s in m["seconds"]["all"])
            assert min(m["seconds"]["all"]) == m["seconds"]["best"] <= m["seconds"]["median"] <= m["seconds"]["worst"]
    return found, printed.err


def test_train_step(capsys, tmp_path):
    out = tmp_path / "new" / "folder"
    found, told = run(capsys, "train-step", "--sparsity", "0,0.5", *HIDDEN, *TINY, "--out", str(out))
    first, second = found["measurements"]
    assert (first["what"], first["who"], first["backend"], first["threads"]) == (
        "training step", "genn_delays", "cpu", 1,
    )  # fmt: skip
    assert first["parameters"]["populations"] == [40, 16, 10]
    assert [m["parameters"]["sparsity"] for m in (first, second)] == [0.0, 0.5]
    assert [m["parameters"]["synapses"] for m in (first, second)] == [800, 400]
    assert [m["parameters"]["rewiring"] for m in (first, second)] == ["none", "deep_r"]
    assert first["seconds"]["repeats"] == 2  # an epoch of two batches is a sample
    assert first["figures"]["examples_a_second"] == pytest.approx(4 / first["seconds"]["median"])
    assert "round 1 of 1" in told
    assert json.loads((out / "results.json").read_text()) == found
    assert sorted(p.name for p in out.iterdir()) == ["results.json", "train_step.pdf", "train_step.png"]


def test_a_second_run_replaces_what_was_kept(capsys, tmp_path):
    for size in ("8", "9"):
        found, _ = run(capsys, "train-step", "--hidden", size, *TINY, "--out", str(tmp_path))
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert found["measurements"][0]["parameters"]["populations"] == [40, 9, 10]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]  # one sparsity is no picture


@pytest.mark.parametrize("model", ["fsdd_paper", "digits", "fsdd_eventprop", "store_recall", "yin_yang"])
def test_train_step_of_models_without_their_data(capsys, model):
    found, _ = run(capsys, "train-step", model, *TINY)
    assert found["measurements"][0]["parameters"]["model"] == model


def test_models_take_turns(capsys, tmp_path):
    """Each with its own name in the table and a picture of its own."""
    arguments = ["digits", "fsdd", "--sparsity", "0,0.5", *TINY]
    found, _ = run(capsys, "train-step", *arguments, "--out", str(tmp_path))
    assert [(m["parameters"]["model"], m["parameters"]["sparsity"]) for m in found["measurements"]] == [
        ("digits", 0.0), ("digits", 0.5), ("fsdd", 0.0), ("fsdd", pytest.approx(0.5, abs=0.01)),
    ]  # fmt: skip
    assert found["settings"]["model"] == "digits,fsdd"
    assert (tmp_path / "train_step.png").exists()
    assert main(["benchmark", "inference", "digits", "fsdd", *TINY]) == 0
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert [row.split()[0] for row in rows] == ["digits", "digits", "fsdd", "fsdd"]


def test_first_and_last_epoch(capsys):
    found, _ = run(capsys, "train-step", "fsdd_paper", *HIDDEN, *TINY, "--epoch", "first,last")
    assert [m["parameters"]["epoch"] for m in found["measurements"]] == ["first", "last"]


def test_inference_has_a_batch_of_one_besides(capsys):
    found, _ = run(capsys, "inference", *HIDDEN, *TINY)
    assert [m["parameters"]["batch_size"] for m in found["measurements"]] == [4, 1]
    assert all("epoch" not in m["parameters"] for m in found["measurements"])
    found, _ = run(capsys, "inference", *HIDDEN, "--batch-size", "1", "--repeats", "1", "--backend", "reference")
    assert [m["parameters"]["batch_size"] for m in found["measurements"]] == [1]
    assert found["measurements"][0]["backend"] == "reference"


def test_scaling(capsys, tmp_path):
    found, _ = run(capsys, "scaling", "--sparsity", "0,0.5", "--sizes", "16,32", *TINY, "--out", str(tmp_path))
    by_axis = {axis: [m for m in found["measurements"] if m["parameters"]["axis"] == axis]
               for axis in ("sparsity", "size")}  # fmt: skip
    assert [m["parameters"]["populations"][1] for m in by_axis["size"]] == [16, 32]
    dense, sparse = by_axis["sparsity"]
    assert dense["figures"]["flops_a_step"] > sparse["figures"]["flops_a_step"] > 0
    assert all(m["figures"]["foreseen_bytes"] > 0 and m["bytes"] is not None for m in found["measurements"])
    assert (tmp_path / "scaling.png").stat().st_size > 0
    assert (tmp_path / "scaling.pdf").stat().st_size > 0


def test_memory(capsys, tmp_path):
    found, _ = run(capsys, "memory", "--hidden", "64", "--sparsity", "0.5,0.9", *TINY, "--out", str(tmp_path))
    for m in found["measurements"]:
        f = m["figures"]
        parts = [f[f"foreseen_{name}_bytes"] for name in ("synapse", "rewiring", "activity")]
        assert sum(parts) == f["foreseen_bytes"]
        assert f["foreseen_bytes_a_synapse"] == parts[0] / m["parameters"]["synapses"]
        assert isinstance(m["bytes"], int)
    assert (tmp_path / "memory.png").exists()


def test_compile(capsys):
    found, _ = run(capsys, "compile", *HIDDEN, *TINY)
    by_name = {m["what"]: m for m in found["measurements"]}
    assert list(by_name) == ["import genn_delays", "its names, all of them", "cold compile", "second start",
                             "first training step"]  # fmt: skip
    assert by_name["cold compile"]["figures"] == {"kernels_compiled": True}
    assert by_name["second start"]["figures"] == {"kernels_compiled": False}


def test_kernels(capsys, tmp_path):
    found, _ = run(capsys, "kernels", "--sparsity", "0,0.9", *HIDDEN, *TINY, "--out", str(tmp_path))
    limits = [m for m in found["measurements"] if m["who"] == "machine"]
    assert [m["threads"] for m in limits] == [1]
    assert all(limits[0]["figures"][f"{name}_a_second"] > 0 for name in ("flops", "bytes", "cache_bytes"))
    passes = [m for m in found["measurements"] if m["who"] == "genn_delays"]
    assert {m["what"] for m in passes} == {"forward", "loss", "backward and gradients", "update", "rewiring"}
    for m in (m for m in passes if m["what"] != "rewiring"):
        f, seconds = m["figures"], m["seconds"]["median"]
        assert f["flops_a_second"] == pytest.approx(f["flops"] / seconds)
        assert f["bytes_a_second"] == pytest.approx(f["least_bytes"] / seconds)
        assert f["flops_a_byte"] == pytest.approx(f["flops"] / f["least_bytes"])
        assert f["share_of_flops"] <= f["share_of_roof"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.json", "roofline.pdf", "roofline.png"]


@pytest.mark.parametrize("name", ["train-step", "inference"])
def test_a_table_for_people(capsys, name):
    assert main(["benchmark", name, *HIDDEN, *TINY]) == 0
    out = capsys.readouterr().out
    assert "40-16-10" in out
    assert "median ms" in out
    assert "cores" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "BENCHMARK"),
        (["trainstep"], "'trainstep'"),
        (["train-step", "--sparsity", "1"], "--sparsity must lie in [0, 1), got 1"),
        (["train-step", "--sparsity", "0.5,x"], "got 'x'"),
        (["train-step", "--sparsity", "0.5,nan"], "got nan"),
        (["train-step", "--sparsity", ""], "got ''"),
        (["train-step", "--sparsity", "0.5,0.5"], "0.5 is given twice"),
        (["train-step", "--repeats", "0"], "--repeats must be from 1"),
        (["train-step", "--repeats", "often"], "got 'often'"),
        (["train-step", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["train-step", "--against", "keras"], "known: genn, torch"),
        (["train-step", "--backend", "tpu"], "unknown --backend 'tpu'"),
        (["train-step", "--backend", "reference", "--threads", "2"], "--threads 2 is a setting of backend 'cpu'"),
        (["train-step", "--threads", "0"], "--threads must be from 1"),
        (["train-step", "--epoch", "middle"], "unknown --epoch 'middle'"),
        (["train-step", "--hidden", "a"], "--hidden must be whole numbers"),
        (["train-step", "nonesuch"], "'nonesuch'"),
        (["train-step", "digits", "nonesuch"], "'nonesuch'"),
        (["train-step", "digits", "digits"], "MODEL: digits is given twice"),
        (["inference", "digits", ""], "MODEL must not be empty"),
        (["train-step", "sequence_detection", "--sparsity", "0.5"], "no connection of this model has a sparsity"),
        (["train-step", "--batch", "3"], "Did you mean '--batch-size'?"),
        (["inference", "--epoch", "last"], "unknown option of benchmark inference '--epoch'"),
        (["scaling", "digits", "more"], "benchmark scaling takes no further argument 'more'"),
        (["scaling", "--sizes", "0"], "--sizes must be at least 1, got 0"),
        (["scaling", "--epoch", "first,last"], "--epoch: scaling is measured at one"),
        (["scaling", "store_recall"], "--sizes: model 'store_recall' has no hidden layers in a chain"),
        (["train-step", "--out="], "--out must not be empty"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(capsys, arguments, named):
    assert main(["benchmark", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert named in printed.err


def test_out_that_is_a_file(capsys, tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    assert main(["benchmark", "train-step", "--out", str(path)]) == 2
    assert "that is not a folder" in capsys.readouterr().err
    assert path.read_text() == "kept"


def test_a_wrong_option_leaves_no_folder_behind(capsys, tmp_path):
    folder = tmp_path / "new"
    assert main(["benchmark", "train-step", "--repeats", "0", "--out", str(folder)]) == 2
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", *BENCHMARKS])
def test_help(capsys, name):
    with pytest.raises(SystemExit) as caught:
        main(["benchmark", *filter(None, [name]), "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "--json" in text or name == ""
