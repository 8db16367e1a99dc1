"""Pictures of rates show the rates."""

import numpy as np
import pytest
from refused import refused

from genn_delays import plots


def test_rates_over_time():
    """Ten neurons that spike twice in the second bin of 5 ms: 10 * 2 / 10 / 5 ms are 400 Hz; the last bin has 2 ms."""
    times = np.r_[np.full(20, 7.0), 11.0]
    ax = plots.population_rates({"e": (times, np.zeros(21, int))}, sizes={"e": 10}, duration=12.0)
    values, edges, _ = ax.patches[0].get_data()
    assert edges.tolist() == [0, 5, 10, 12] and values.tolist() == pytest.approx([0, 400, 50])
    assert ax.get_xlim() == (0, 12) and ax.get_ylabel() == "rate (Hz)" and ax.get_legend() is None


def test_several_populations_have_a_legend():
    none = (np.zeros(0), np.zeros(0, int))
    ax = plots.population_rates({"e": none, "i": none}, sizes={"e": 10, "i": 1}, duration=3.0)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["e", "i"]


def test_distributions_leave_out_what_is_no_number():
    ax = plots.neuron_distributions({"e": np.array([1.0, 2.0, 9.0, np.nan]), "i": np.full(3, np.nan)}, label="CV")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["e", "i"] and ax.get_ylabel() == "CV"
    median, mean = (list(line.get_ydata()) for line in ax.lines)
    assert median == [2.0, 2.0] and mean == [4.0]
    (box,) = ax.patches
    assert (box.get_y(), box.get_height()) == (1.5, 4.0)  # quartiles 1.5 and 5.5
    whiskers = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    assert whiskers == [[1.0, 1.5], [5.5, 9.0]]


def test_a_whisker_ends_at_the_last_neuron_within_its_reach():
    """Quartiles 1 and 3, so it reaches to 6."""
    ax = plots.neuron_distributions({"e": np.array([0.0, 1.0, 2.0, 3.0, 20.0])}, label="rate (Hz)")
    assert ax.collections[0].get_segments()[1][:, 1].tolist() == [3.0, 3.0]


def test_what_is_refused():
    spikes = {"e": (np.zeros(1), np.zeros(1, int))}
    with refused("sizes of population_rates", "'e'"):
        plots.population_rates(spikes, sizes={}, duration=3.0)
    with refused("duration", "0"):
        plots.population_rates(spikes, sizes={"e": 1}, duration=0.0)
    with refused("values of 'e'"):
        plots.neuron_distributions({"e": np.zeros((2, 2))}, label="x")
