"""Overviews of networks: the same cells as text and as HTML, with nothing sampled for them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt

from genn_delays import (
    Adam,
    Connection,
    Dense,
    FixedNumber,
    FixedProbability,
    GaussianKernel,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.connectivity import Connectivity
from genn_delays.datasets import load_dataset
from genn_delays.overview import bytes_text, counted


class Cells(HTMLParser):
    """The texts of headings and cells, row by row, and the stack of open elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def described(name: str = "hidden") -> Network:
    network = Network(seed=0)
    with network:
        x = Population(SpikeInput(), 64, "pixels")
        h = Population(LeakyIntegrateFire(), 1024, name, dropout=0.25, bias=0.1)
        o = Population(LeakyIntegrate(readout="sum_softmax"), 10, "digit")
        Connection(x, h, FixedNumber(sparsity=0.75, delay=UniformInt(0, 10)), "delta", "first")
        Connection(h, o, FixedProbability(0.5, delay=3), name="second", max_delay_steps=8, delay_kernel="gaussian")
    return network


class Ring(Connectivity):
    """A connectivity of a user's own that does not say its number of synapses."""

    asked = 0

    def pairs(self, num_pre: int, num_post: int, seed: int, owner: int) -> npt.NDArray[np.int64]:
        Ring.asked += 1
        return np.arange(num_post, dtype=np.int64) * num_pre


def test_a_description_prints_its_table():
    network = described()
    number = network.connections[1].connectivity.num_synapses(1024, 10, 0, 1)
    assert str(network) == network.summary()
    assert network.summary().splitlines() == [
        f"network of seed 0: 3 populations, 2 connections, {16384 + number:,} synapses, "
        f"{bytes_text(14 * (16384 + number))} as drawn",
        "population  neurons  model               role                     with",
        "pixels           64  SpikeInput          input",
        "hidden        1,024  LeakyIntegrateFire                           dropout 0.25, bias",
        "digit            10  LeakyIntegrate      output by 'sum_softmax'",
        "connection  source  target  synapses  sparsity  delays (steps)  while training              bytes",
        "first       pixels  hidden    16,384      75 %  0 to 10                                    229 kB",
        f"second      hidden  digit      {number:,}  {100 * (1 - number / 10240):>6.4g} %  3               "
        f"spread by GaussianKernel  {bytes_text(14 * number)}",
    ]
    assert repr(network) == "<Network of seed 0: 3 populations, 2 connections>"


def test_printing_draws_nothing_and_drawing_changes_nothing():
    network = described()
    before = network.summary(), network._repr_html_()
    assert not any("synapses" in vars(c) for c in network.connections)
    assert [c.synapses.pre.size for c in network.connections]
    assert (network.summary(), network._repr_html_()) == before


def test_a_network_too_large_for_this_machine_is_printed():
    network = Network()
    with network:
        x, o = Population(Input(), 10**6), Population(LeakyIntegrate(readout="sum_var"), 10**6)
        Connection(x, o, Dense())
    assert "1,000,000,000,000 synapses, 14 TB as drawn" in str(network)


def test_an_unknown_number_of_synapses_is_said_until_they_are_drawn():
    network = Network()
    with network:
        x, o = Population(Input(), 4, "x"), Population(LeakyIntegrate(readout="sum_var"), 6, "o")
        Connection(x, o, Ring())
    Ring.asked = 0
    assert "at least 0 synapses" in str(network) and "not drawn" in network._repr_html_() and Ring.asked == 0
    assert network.connections[0].synapses.pre.size == 6
    assert "6 synapses, 84 B as drawn" in str(network)


def test_html_has_the_cells_of_the_text_and_names_are_escaped():
    name = "<b onload='x'>&\"hidden\""
    network = described(name)
    html = network._repr_html_()
    assert "<b" not in html and "&lt;b onload=" in html
    overview = network.overview()
    expected = [row for t in overview.tables for row in [[c.name for c in t.columns], *map(list, t.rows)]]
    assert Cells(html).rows == expected
    assert expected[2][0] == name and name in network.summary()


def test_an_empty_network_has_a_title_alone():
    assert str(Network(seed=7)).splitlines() == [
        "network of seed 7: 0 populations, 0 connections, 0 synapses, 0 B as drawn"
    ]
    assert Cells(Network()._repr_html_()).rows == []


def test_a_compiled_network_prints_what_it_holds():
    network = Network(seed=1)
    with network:
        x = Population(Input(), 6, "x")
        h = Population(LeakyIntegrateFire(), 8, "h")
        o = Population(LeakyIntegrate(readout="sum_var"), 3, "o")
        Connection(x, h, FixedNumber(sparsity=0.5, delay=UniformInt(2, 5)), delay_kernel=GaussianKernel())
        Connection(h, o, FixedNumber(sparsity=0.5))
    for backend in ("reference", "cpu"):
        compiler = SurrogateCompiler(12, batch_size=4, backend=backend)
        with compiler.compile(network, optimisers={"all_connections": {"weight": Adam()}}) as compiled:
            text, html = str(compiled), compiled._repr_html_()
            delays = compiled.delays("x_h")
            assert text == compiled.summary()
            row = next(line for line in text.splitlines() if line.startswith("x_h"))
            assert f"{delays.min():g} to {delays.max():g}" in row and "spread by GaussianKernel" in row
            assert ("backend cpu holds" in text) == (backend == "cpu")
            assert "learned: weights of x_h, h_o by Adam" in html and "<th" in html
            assert repr(compiled).count("\n") == 0


def test_a_data_set_is_one_line():
    found = load_dataset("digits")
    assert (
        repr(found)
        == str(found)
        == ("Dataset('digits', spikes: 1,438 training and 359 test examples of 64 inputs x 30 ms, 10 classes)")
    )


def test_numbers_of_bytes_and_things():
    told = {0: "0 B", 999: "999 B", 1000: "1 kB", 22_400: "22.4 kB", 999_600: "1 MB", 1_214_000_000: "1.21 GB"}
    assert {number: bytes_text(number) for number in told} == told
    assert (counted(1, "synapse"), counted(1600, "synapse")) == ("1 synapse", "1,600 synapses")
