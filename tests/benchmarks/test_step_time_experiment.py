"""The experiment on step time measures the networks that its files are called after."""

import re
from pathlib import Path

import pytest

from genn_delays.benchmarks.options import Options, at_sparsity
from genn_delays.learning.schedules import Progress
from genn_delays.runs.build import plan_of
from genn_delays.runs.models import load_model

FOLDER = Path(__file__).parents[2] / "experiments" / "step_time"
FILES = sorted((FOLDER / "networks").glob("*.py"))


def plan(path, sparsity=None):
    config = load_model(str(path))
    assert config.model.name == path.stem
    return plan_of(at_sparsity(config, sparsity))


@pytest.mark.parametrize("path", [p for p in FILES if "wide" not in p.stem], ids=lambda p: p.stem)
def test_every_kind_is_what_its_name_says(path):
    name, found = path.stem, plan(path)
    first, everything = found.connections[0], name.endswith("all_of_these")
    assert [p.size for p in found.populations] == [40, 256, 10]
    assert (found.time_steps, found.batch_size, first.max_delay) == (80, 256, 24)
    assert (first.delay_optimiser is not None) == ("learned" in name or "dcls" in name)
    assert (first.rewiring.growth == "gradient") == ("growth" in name or everything)
    assert (found.populations[1].batch_norm is not None) == ("batch_norm" in name or everything)
    assert found.populations[1].dropout == (0.4 if "batch_norm" in name or everything else 0.0)
    assert (first.kernel is not None) == ("dcls" in name)
    if first.kernel is not None:
        ends = [first.kernel.width(24, Progress(epoch, 60, 0, 1)) for epoch in (0, 59)]
        sigma = [2.0, 2.0] if name == "dcls_2" else [12.0, 0.23]
        assert ends == pytest.approx([s + 0.27 for s in sigma])  # a kernel is never narrower
    assert plan(path, 0.0).connections[0].rewiring is None


@pytest.mark.parametrize(
    ("name", "sizes", "batch"), [("wide", (700, 2048, 2048, 20), 64), ("very_wide", (700, *[16384] * 3, 20), 16)]
)
def test_large_networks(name, sizes, batch):
    found = plan(FOLDER / "networks" / f"{name}.py")
    assert tuple(p.size for p in found.populations) == sizes
    assert (found.time_steps, found.batch_size) == (100, batch)
    assert {(c.delay_low, c.delay_low + c.delay_thresholds.size) for c in found.connections} == {(0, 24)}


def test_every_command_of_its_page_is_one():
    """The models of its commands are there, and none of its networks is left out."""
    text = (FOLDER / "README.md").read_text()
    named = set(re.findall(r"experiments/step_time/networks/(\w+)\.py", text))
    assert named | set(re.findall(r"\$N/(\w+)\.py", text)) == {p.stem for p in FILES}
    assert len(Options(model=[str(p) for p in FILES]).bases()) == len(FILES)
