"""NIR graphs to and from snnTorch, and to Norse: the same spikes. Only where these are installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from genn_delays import (
    Connection,
    FixedNumber,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    Uniform,
)
from genn_delays.callbacks import SpikeRecorder
from genn_delays.export import from_nir, to_nir

MISSING = [name for name in ("nir", "nirtorch", "torch", "snntorch", "norse") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.nir,
    pytest.mark.torch,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {' '.join(MISSING)}: pip install nirtorch snntorch norse"
    ),
    pytest.mark.filterwarnings("ignore"),  # theirs
]
STEPS, DT = 60, 0.1
"""snnTorch reads and writes graphs for steps of 0.1 ms."""


def inputs(size: int = 8) -> np.ndarray:
    return (np.random.default_rng(0).random((STEPS, size)) < 0.3).astype(np.float32)


def spikes(network: Network, names: list[str]) -> list[set[tuple[int, int]]]:
    with SurrogateCompiler(STEPS, 1, dt=DT, backend="reference").compile(network) as compiled:
        data = {network.inputs[0]: inputs()[None]}
        _, recorded = compiled.predict(data, callbacks=[SpikeRecorder(name) for name in names])
    found = [recorded[f"{name}_spikes"] for name in names]
    return [{(round(t / DT), int(k)) for t, k in zip(times[0], ks[0], strict=True)} for times, ks in found]


@pytest.mark.parametrize("kind", ["Leaky", "RLeaky"])
def test_a_layer_of_snntorch_is_read_with_the_same_spikes(kind):
    import snntorch as snn
    import torch
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(1)
    ones = torch.ones(12)
    given = {"beta": 0.9 * ones, "threshold": ones, "reset_mechanism": "zero", "reset_delay": False}
    recurrent = {"V": 0.3 * ones, "all_to_all": True, "linear_features": 12} if kind == "RLeaky" else {}
    dense, layer = torch.nn.Linear(8, 12), getattr(snn, kind)(**given, **recurrent)
    x = torch.from_numpy(inputs())
    with torch.no_grad():
        dense.weight *= 3
        graph = export_to_nir(torch.nn.Sequential(dense, layer), x[0])
        state = layer.init_rleaky() if recurrent else (layer.init_leaky(),)
        theirs = set()
        for t in range(STEPS):
            out = layer(dense(x[t]), *state)
            state = out if recurrent else out[1:]
            theirs |= {(t, int(k)) for k in torch.nonzero(out[0].flatten())}
    network = from_nir(graph, dt=DT)
    (ours,) = spikes(network, [network.populations[-1].name])
    assert ours and ours == theirs


def ours_for(seed: int = 1, delay: int = 0) -> Network:
    with Network(seed=seed) as network:
        a = Population(SpikeInput(), 8, "a")
        h = Population(LeakyIntegrateFire(tau_mem=1.0, scale_i=True), 12, "h", bias=0.1)
        y = Population(LeakyIntegrateFire(tau_mem=1.0, scale_i=True, readout="spike_count"), 5, "y")
        for source, target in ((a, h), (h, y)):
            Connection(source, target, FixedNumber(sparsity=0.3, weight=Uniform(-4.0, 9.0), delay=delay))
    return network


def module_of(reader: str, graph):
    if reader == "norse":
        import norse.torch

        return norse.torch.from_nir(graph, dt=DT * 1e-3)
    from snntorch.import_nir import import_from_nir

    module = import_from_nir(graph)
    module.h.reset_delay = module.y.reset_delay = False
    return module


@pytest.mark.parametrize("reader", ["snntorch", "norse"])
def test_our_graph_is_read_with_the_same_spikes(reader):
    import torch

    network, theirs, state = ours_for(), set(), None
    module = module_of(reader, to_nir(network, dt=DT, encoding="dense"))
    with torch.no_grad():
        for t, x in enumerate(torch.from_numpy(inputs())):
            out, state = module(x[None], state)
            theirs |= {(t, int(k)) for k in torch.nonzero(torch.as_tensor(out).flatten())}
    (ours,) = spikes(network, ["y"])
    assert ours and ours == theirs


@pytest.mark.parametrize("reader", ["snntorch", "norse"])
@pytest.mark.parametrize("encoding", ["sparse", "dense"])
def test_delays_are_refused_by_readers_without_them_and_not_left_out(reader, encoding):
    with pytest.raises(Exception, match=r"delay|Delay|v_leak"):
        module_of(reader, to_nir(ours_for(delay=2), dt=DT, encoding=encoding))
