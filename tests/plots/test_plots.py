"""Pictures: the numbers that are drawn, their labels, and what is refused. Nothing of pyplot is touched."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from refused import refused

from genn_delays import plots
from genn_delays.analysis import Fans, Histogram
from genn_delays.connectivity import Synapses
from genn_delays.plots.style import marker, series_style

LINES = [
    {"epoch": e, "train_accuracy": 0.1 * e, "test_accuracy": 0.08 * e, "train_loss": 3.0 / e, "test_loss": None}
    for e in range(1, 6)
]
HISTOGRAM = Histogram("weight", "a_b", np.array([-1.0, 0.0, 1.0]), {"excitatory": np.array([0, 3])})
TIMES, NEURONS = np.array([0.0, 3.0, 3.0, 7.5]), np.array([0, 2, 1, 0])


def synapses(count: int = 40, size: int = 20) -> Synapses:
    rng = np.random.default_rng(0)
    pairs = np.sort(rng.choice(size * size, count, replace=False))
    return Synapses(
        (pairs % size).astype(np.int32), (pairs // size).astype(np.int32),
        rng.integers(0, 25, count).astype(np.uint16), rng.normal(size=count).astype(np.float32),
    )  # fmt: skip


DRAWN: dict[str, Any] = {
    "raster": lambda ax=None: plots.raster((TIMES, NEURONS), ax),
    "image": lambda ax=None: plots.image(np.arange(12.0).reshape(4, 3), ax),
    "traces": lambda ax=None: plots.traces(np.arange(12.0).reshape(4, 3), ax, threshold=1.0),
    "connectivity": lambda ax=None: plots.connectivity(synapses(), ax),
    "learning_curve": lambda ax=None: plots.learning_curve(LINES, ax),
    "rewirings": lambda ax=None: plots.rewirings([{"epoch": 1, "rewirings": 3, "newborn_rewirings": 1}], ax),
    "confusion": lambda ax=None: plots.confusion([[3, 1], [0, 4]], ax),
    "receptive_field": lambda ax=None: plots.receptive_field(np.arange(12.0).reshape(4, 3), ax),
    "morans_i": lambda ax=None: plots.morans_i({"untrained": [0.1, 0.2], "trained": [0.3, 0.5, 0.4]}, ax),
    "histogram": lambda ax=None: plots.histogram(HISTOGRAM, ax),
    "fan_in": lambda ax=None: plots.fan_in(Fans("a_b", np.array([1, 4, 1]), np.array([2, 4])), ax),
    "population_rates": lambda ax=None: plots.population_rates(
        {"e": (np.array([1.0, 7.0]), np.array([0, 1]))}, ax, sizes={"e": 2}, duration=10.0
    ),
    "neuron_distributions": lambda ax=None: plots.neuron_distributions({"e": np.arange(5.0)}, ax, label="rate (Hz)"),
    "fan_out": lambda ax=None: plots.fan_out(Fans("a_b", np.array([1, 4, 1]), np.array([2, 4])), ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_axes_in_and_out_with_labels(name):
    given = Figure().subplots()
    assert DRAWN[name](given) is given
    pictures = []
    for made in (DRAWN[name](), DRAWN[name]()):
        assert made.figure is not given.figure
        assert made.get_xlabel() and made.get_ylabel() and given.get_xlabel() == made.get_xlabel()
        made.figure.savefig(file := io.BytesIO(), format="png", dpi=50)
        pictures.append(file.getvalue())
    assert pictures[0] == pictures[1] and pictures[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWN)
def test_wrong_axes_are_refused(name):
    with refused("ax", "'axes'"):
        DRAWN[name]("axes")


def test_all_that_is_offered_is_tested():
    assert {name for name in plots.__all__ if callable(getattr(plots, name))} == set(DRAWN)


def test_importing_imports_no_matplotlib_and_a_figure_is_pyplots_only_where_that_is_used():
    code = """
import sys, genn_delays.plots as plots, genn_delays.cli.parsers
assert not any(name.startswith("matplotlib") for name in sys.modules), "imported"
plots.raster(([0.0], [0]))
assert "matplotlib.pyplot" not in sys.modules
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
assert plt.get_fignums() == []
ax = plots.raster(([0.0], [0]))
assert plt.get_fignums() == [1] and plt.figure(1) is ax.figure
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_are_okabe_and_itos_and_series_differ_without_them():
    assert set(plots.COLOURS.values()) == {
        "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    }  # fmt: skip
    styles = [series_style(n) for n in range(49)]
    assert len({str(style) for style in styles}) == 49
    assert len({str(style["linestyle"]) for style in styles[:7]}) == len({marker(n) for n in range(7)}) == 7


# --- raster and image ----------------------------------------------------------------------------------------------


def ticks(ax):
    """Pairs of time and place of every tick that is drawn."""
    found = [segment for c in ax.collections if isinstance(c, LineCollection) for segment in c.get_segments()]
    return sorted((float(s[0, 0]), float(s[:, 1].mean())) for s in found)


def test_a_raster_has_a_tick_for_every_spike():
    ax = plots.raster((TIMES, NEURONS), sizes=5, duration=20.0)
    assert ticks(ax) == sorted(zip(TIMES, NEURONS.astype(float), strict=True))
    assert ax.get_ylim() == (-0.5, 4.5) and ax.get_xlim() == (0.0, 20.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "neuron")


def test_a_raster_of_an_array():
    dense = np.zeros((10, 3), bool)
    dense[[2, 5], [1, 0]] = True
    assert ticks(plots.raster(dense, dt=0.5)) == [(1.0, 1.0), (2.5, 0.0)]


def test_a_raster_of_several_populations():
    ax = plots.raster({"x": (TIMES, NEURONS), "h": ([1.0], [0]), "silent": ([], [])}, sizes={"x": 3, "h": 2})
    assert [text.get_text() for text in ax.get_yticklabels()] == ["x", "h", "silent"]
    assert (1.0, 4.0) in ticks(ax) and len(ticks(ax)) == 5  # h begins above the three of x and a gap


def test_no_spikes_are_an_empty_raster():
    assert ticks(plots.raster(([], []), sizes=4)) == []


@pytest.mark.parametrize(
    ("spikes", "sizes", "parts"),
    [
        (([0.0, 1.0], [0]), None, ("2 and 1",)),
        (([0.0], [5]), 5, ("number of neurons", "at least 6", "5")),
        (([-1.0], [0]), None, ("at least 0",)),
        (([[0.0]], [0]), None, ("times", "1 dimension", "(1, 1)")),
        ((["a"], [0]), None, ("times", "numbers")),
        ("spikes", None, ("(times, neurons)", "'spikes'")),
        ({"h": 3}, None, ("'h'", "3")),
        (np.zeros(3), None, ("2 dimensions", "(3,)")),
    ],
)
def test_wrong_spikes_are_refused(spikes, sizes, parts):
    with refused(*parts):
        plots.raster(spikes, sizes=sizes)


def test_an_image_has_time_from_left_and_neurons_from_below():
    values = np.arange(12.0).reshape(4, 3)
    ax = plots.image(values, dt=2.0, label="energy")
    drawn = ax.images[0]
    assert np.array_equal(drawn.get_array(), values.T) and drawn.origin == "lower"
    assert drawn.get_extent() == [0.0, 8.0, -0.5, 2.5] or drawn.get_extent() == (0.0, 8.0, -0.5, 2.5)
    assert len(ax.figure.axes) == 2 and len(plots.image(values, colours=False).figure.axes) == 1
    with refused("dt", "0"):
        plots.image(values, dt=0)


# --- traces --------------------------------------------------------------------------------------------------------


def test_traces_have_a_line_for_every_neuron():
    values = np.arange(12.0).reshape(4, 3)
    ax = plots.traces(values, dt=0.5, names="abc", label="v", threshold=7.0, highlight=1)
    lines = ax.get_lines()
    assert np.array_equal([line.get_ydata() for line in lines[:3]], values.T)
    assert lines[0].get_xdata().tolist() == [0.0, 0.5, 1.0, 1.5] and lines[3].get_ydata()[0] == 7.0
    assert [line.get_label() for line in lines] == ["a", "b", "c", "threshold"]
    assert lines[1].get_linewidth() > lines[0].get_linewidth() == lines[2].get_linewidth()
    assert len({(to_hex(line.get_color()), line.get_linestyle()) for line in lines[:3]}) == 3
    with refused("names", "3", "2"):
        plots.traces(values, names="ab")
    with refused("values", "2 dimensions"):
        plots.traces([1.0, 2.0])


# --- connectivity --------------------------------------------------------------------------------------------------


def test_connectivity_has_a_mark_for_every_synapse():
    drawn = synapses()
    ax = plots.connectivity(drawn, num_pre=20, num_post=30)
    assert ax.get_xlim() == (-0.5, 19.5) and ax.get_ylim() == (-0.5, 29.5)
    found = {
        (*place, delay, c.get_label())
        for c in ax.collections
        for place, delay in zip(c.get_offsets().data.tolist(), c.get_array().tolist(), strict=True)
    }
    signs = np.where(drawn.weight >= 0, "positive weight", "negative weight")
    assert found == set(zip(drawn.pre, drawn.post, drawn.delay, signs, strict=True))
    assert [other.get_ylabel() for other in ax.figure.axes[1:]] == ["delay (time steps)"]


def test_many_synapses_are_drawn_as_their_density():
    ax = plots.connectivity(synapses(30_000, 400))
    assert ax.images[0].get_array().sum() == 30_000 and ax.images[0].get_array().shape == (200, 200)


def test_wrong_synapses_are_refused():
    with refused("pre, post, delay and weight", "3"):
        plots.connectivity(3)
    with refused("num_pre", "at least 20", "3"):
        plots.connectivity(synapses(), num_pre=3)
    with refused("differ in length"):
        plots.connectivity(synapses()._replace(weight=np.ones(3)))


# --- learning curves -----------------------------------------------------------------------------------------------


def test_learning_curves_are_in_percent_and_lack_what_lines_lack():
    ax = plots.learning_curve(LINES, selected=(4, "epoch chosen"))
    told = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.get_lines()}
    assert list(told) == ["train", "test", "epoch chosen"]
    assert np.allclose(told["test"], [8, 16, 24, 32, 40])
    assert ax.get_ylabel() == "accuracy (%)" and ax.get_xlim() == (0.5, 5.5)
    loss = plots.learning_curve(LINES, figure="loss")
    assert [line.get_label() for line in loss.get_lines()] == ["train"] and loss.get_ylim()[0] == 0.0
    styles = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()[:2]}
    assert len(styles) == 2


def test_runs_of_different_length_share_axes():
    ax = plots.learning_curve(LINES, parts=["test"], name="a")
    longer = [{"epoch": e, "test_accuracy": 0.5} for e in range(1, 31)]
    assert plots.learning_curve(longer, ax, parts=["test"], name="b", **series_style(1)) is ax
    plots.learning_curve(LINES[:2], ax, parts=["test"], name="c", **series_style(2))
    assert ax.get_xlim() == (0.5, 30.5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]


def test_losses_of_several_runs_are_all_in_sight():
    """The second is the highest."""
    ax = None
    for height in (1.0, 5.0, 0.5):
        ax = plots.learning_curve([{"epoch": 1, "test_loss": height}], ax, figure="loss", parts=["test"], name="a")
    assert ax.get_ylim()[0] == 0.0 and ax.get_ylim()[1] > 5.0
    ax = plots.rewirings([{"epoch": 1, "rewirings": 3}])
    plots.rewirings([{"epoch": 1, "rewirings": 3000}], ax)
    assert ax.get_ylim()[0] == 0.0 and ax.get_ylim()[1] > 3000


def test_rewirings_tell_change_from_search():
    """Established synapses that died and newborn ones, each with the numbers of the file; of old files only all."""
    lines = [
        {"epoch": 1, "rewirings": 1007, "newborn_rewirings": 992},
        {"epoch": 2, "rewirings": 500, "newborn_rewirings": 500},
    ]
    old = [{"epoch": line["epoch"], "rewirings": line["rewirings"]} for line in lines]
    told = {"established": [15, 0], "newborn": [992, 500]}
    for given, expected in ((lines, told), (old, {"established": [1007, 500]})):
        ax = plots.rewirings(given)
        assert {line.get_label(): line.get_ydata().tolist() for line in ax.lines} == expected
        assert [text.get_text() for text in ax.get_legend().get_texts()] == list(expected)


def test_wrong_lines_are_refused():
    with refused("at least one"):
        plots.learning_curve([])
    with refused("'epoch'"):
        plots.rewirings([{"rewirings": 3}])
    with refused("figure", "'error'", "accuracy"):
        plots.learning_curve(LINES, figure="error")
    with refused("part", "'tset'", "test"):
        plots.learning_curve(LINES, parts=["tset"])


# --- confusion -----------------------------------------------------------------------------------------------------


def test_a_confusion_matrix_has_numbers_and_shares_of_rows():
    ax = plots.confusion([[3, 1], [0, 4]], names=["zero", "one"])
    assert ax.images[0].get_array().tolist() == [[75.0, 25.0], [0.0, 100.0]]
    assert [(t.get_position(), t.get_text()) for t in ax.texts] == [((0, 0), "3"), ((1, 0), "1"), ((1, 1), "4")]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["zero", "one"]
    assert not list(plots.confusion(np.eye(35)).texts)  # unreadable: the shades alone
    empty = plots.confusion([[0, 0], [1, 1]])  # a class without an example
    assert empty.images[0].get_array().tolist() == [[0.0, 0.0], [50.0, 50.0]]


def test_wrong_counts_are_refused():
    with refused("square", "(1, 2)"):
        plots.confusion([[1, 2]])
    with refused("names", "2", "1"):
        plots.confusion([[1, 2], [3, 4]], names=["a"])
