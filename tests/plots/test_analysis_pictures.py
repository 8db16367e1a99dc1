"""Pictures of analyses: what is drawn where, and in which colours."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from genn_delays import plots
from genn_delays.analysis import Fans, Histogram
from genn_delays.errors import InvalidValueError
from genn_delays.plots.receptive_field import diverging


@pytest.fixture
def ax():
    return Figure().subplots()


def test_time_runs_from_longest_ago_at_the_left(ax):
    field = np.array([[0.0, 0.0, 5.0], [-1.0, 0.0, 0.0]])
    assert plots.receptive_field(field, ax, dt=10.0, unit="ms", source="mel", title="a") is ax
    (image,) = ax.images
    assert np.array_equal(image.get_array(), [[5, 0, 0], [0, 0, -1]])
    assert image.get_extent() == [-25, 5, -0.5, 1.5]  # centres at -20, -10 and 0 ms
    assert (image.norm.vmin, image.norm.vmax) == (-5, 5)  # 0 in the middle
    assert "ms" in ax.get_xlabel() and ax.get_ylabel() == "mel" and ax.get_title() == "a"
    assert len(ax.figure.axes) == 2  # with a colour bar


def test_zero_is_white_and_signs_differ_in_brightness():
    low, middle, high = (np.dot(diverging()(x)[:3], (0.299, 0.587, 0.114)) for x in (0.0, 0.5, 1.0))
    assert middle > 0.99
    assert high - low > 0.2  # in a print without colours


def test_a_field_of_zeros_and_a_limit(ax):
    plots.receptive_field(np.zeros((2, 3)), ax, colorbar=False)
    plots.receptive_field(np.ones((2, 3)), ax, limit=4.0, colorbar=False)
    assert [image.norm.vmax for image in ax.images] == [1.0, 4.0]
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize("field", [np.zeros(3), [["a"]], [[np.nan, 1.0]], np.zeros((0, 3))])
def test_what_is_no_field(field):
    with pytest.raises(InvalidValueError, match="field of a picture must"):
        plots.receptive_field(field)


def test_groups_of_morans_i_have_a_row_each(ax):
    groups = {"untrained": [0.1, 0.3, 0.2], "trained": [0.5]}
    plots.morans_i(groups, ax)
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    medians = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert [line.get_xdata().tolist() for line in points] == [[0.1, 0.3, 0.2], [0.5]]
    assert [line.get_xdata()[0] for line in medians] == [0.2, 0.5]
    assert len({line.get_marker() for line in points}) == 2
    for row, line in enumerate(points):
        assert (abs(np.asarray(line.get_ydata()) - row) < 0.4).all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["untrained\n(n = 3)", "trained\n(n = 1)"]


@pytest.mark.parametrize("groups", [{}, [1.0], {"a": []}, {"a": [np.nan]}, {"a": [[1.0]]}])
def test_what_is_no_group(groups):
    with pytest.raises(InvalidValueError, match="Moran's I"):
        plots.morans_i(groups)


def test_excitatory_synapses_go_up_and_inhibitory_ones_down(ax):
    counts = {"excitatory": np.array([2, 1]), "inhibitory": np.array([0, 3]), "zero": np.array([1, 0])}
    plots.histogram(Histogram("delay (time steps)", "a_b", np.array([-0.5, 0.5, 1.5]), counts), ax)
    bars = [[(p.get_y(), p.get_height()) for p in container] for container in ax.containers]
    assert bars == [[(0, 2), (0, 1)], [(0, 0), (0, -3)], [(2, 1), (1, 0)]]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["excitatory", "inhibitory", "zero"]
    assert ax.yaxis.get_major_formatter()(-2.0, 0) == "2"
    assert (ax.get_xlabel(), ax.get_title()) == ("delay (time steps)", "a_b")


def test_no_synapses(ax):
    plots.histogram(Histogram("weight", "a_b", np.array([0.0, 1.0]), {"excitatory": np.array([0])}), ax)
    assert not ax.containers


def test_fans(ax):
    plots.fan_in(Fans("a_b", np.array([1, 1, 4]), np.array([0, 6])), ax)
    heights = {round(p.get_x() + p.get_width() / 2): p.get_height() for p in ax.patches if p.get_height()}
    assert heights == {1: 2, 4: 1}
    assert "fan-in" in ax.get_xlabel()
    assert ax.get_legend().get_texts()[0].get_text() == "mean 2"
    many = plots.fan_out(Fans("a_b", np.array([1]), np.arange(1000)))
    assert sum(p.get_height() for p in many.patches) == 1000 and len(many.patches) <= 41


@pytest.mark.parametrize("draw", [plots.histogram, plots.fan_in, plots.fan_out])
def test_something_else_is_not_drawn(draw):
    with pytest.raises(InvalidValueError, match=r"of genn_delays.analysis is drawn, got \[1\]"):
        draw([1])
