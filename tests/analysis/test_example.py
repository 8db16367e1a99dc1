"""The example of the page "Looking inside" on networks that are there in a moment."""

import re
from pathlib import Path

from genn_delays import (
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SurrogateCompiler,
    Uniform,
    UniformInt,
)

PAGE = (Path(__file__).parents[2] / "docs" / "looking_inside.md").read_text(encoding="utf-8")


def test_the_example_of_the_page(tmp_path, monkeypatch, capsys):
    found = re.search(r"```python\n(from genn_delays import analysis, plots.*?)```", PAGE, re.DOTALL)
    assert found is not None
    network = Network()
    with network:
        a = Population(Input(), 6)
        h = Population(LeakyIntegrateFire(), 8)
        o = Population(LeakyIntegrate(readout="sum_var"), 3)
        for source, target in ((a, h), (h, o)):
            Connection(source, target, FixedNumber(0.5, weight=Uniform(-1.0, 1.0), delay=UniformInt(0, 5)))
    monkeypatch.chdir(tmp_path)
    with SurrogateCompiler(example_timesteps=5, backend="reference").compile(network) as compiled:
        exec(found[1], {"network": network, "compiled": compiled})
    assert capsys.readouterr().out.startswith("Comparison(u=4.5, p=1.0, sizes=(3, 3)")  # the same network twice
    assert (tmp_path / "field.png").stat().st_size > 1000
