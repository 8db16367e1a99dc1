"""How many numbers a network learns: of the published models as many as their paper says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genn_delays import Adam, Connection, Dense, Input, LeakyIntegrate, LeakyIntegrateFire, Network, Population
from genn_delays import SurrogateCompiler as Compiler
from genn_delays.plan.learned import num_learned
from genn_delays.runs.build import plan_of
from genn_delays.runs.models import load_model
from genn_delays.runs.overrides import Overrides

PUBLISHED = {
    "shd_dcls_2l_1kc": 0.2,
    "ssc_dcls_2l_1kc": 0.7, "ssc_dcls_2l_2kc": 1.4, "ssc_dcls_3l_1kc": 1.2, "ssc_dcls_3l_2kc": 2.5,
    "gsc_dcls_2l_1kc": 0.7, "gsc_dcls_2l_2kc": 1.4, "gsc_dcls_3l_1kc": 1.2, "gsc_dcls_3l_2kc": 2.5,
}  # fmt: skip
"""Millions of parameters in the table of Hammouamri et al. 2023 (arXiv 2306.17670), which lists these."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_models_have_its_number_of_parameters(name: str) -> None:
    assert round(sum(num_learned(plan_of(load_model(name))).values()) / 1e6, 1) == PUBLISHED[name]


@pytest.mark.parametrize("data", ["shd", "ssc", "gsc"])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_all_twelve_by_the_sizes_of_their_layers(data: str, layers: int, count: int) -> None:
    size, classes = (256, 20) if data == "shd" else (512, 35)
    pairs = 140 * size + (layers - 1) * size * size + size * classes
    found = num_learned(plan_of(load_model(f"{data}_dcls_{layers}l_{count}kc")))
    assert found == {"weights": count * pairs, "delays": count * pairs, "batch norm": 2 * size * layers, "others": 0}


def test_what_is_fixed_is_not_counted() -> None:
    config = load_model("fsdd_paper")
    synapses = int(0.125 * 40 * 256) + int(0.125 * 256 * 10)
    assert num_learned(plan_of(config)) == {
        "weights": synapses, "delays": synapses, "batch norm": 512, "others": 0,
    }  # fmt: skip
    assert num_learned(plan_of(Overrides(delays="fixed").apply(config)))["delays"] == 0
    nothing = replace(config.training, optimiser={"kind": "none"})
    found = num_learned(plan_of(replace(Overrides(rewiring="none").apply(config), training=nothing)))
    assert found == {"weights": 0, "delays": synapses, "batch norm": 0, "others": 0}


def test_time_constants() -> None:
    network = Network()
    with network:
        a, h = Population(Input(), 2), Population(LeakyIntegrateFire(tau_mem=9.0), 5, name="h")
        o = Population(LeakyIntegrate(readout="sum_var"), 2, name="o")
        Connection(a, h, Dense())
        Connection(h, o, Dense())
    learned = {"h": {"tau_mem": Adam()}, "o": {"tau_mem": Adam()}}
    assert num_learned(Compiler(5).plan(network, optimisers=learned))["others"] == 7
