"""The benchmarks and their options."""

from __future__ import annotations

import argparse

from .values import real, whole

BENCHMARK = """\
Measure on this machine, on random data in the shape of a network: no data set is
needed. Without MODEL the network is 40-256-10 (real-valued inputs, 80 steps,
delays 0-24, batch 256, DEEP R); MODEL is a model's name or path, as for train.

  genn-delays benchmark train-step --sparsity 0,0.875,0.99
  genn-delays benchmark train-step --threads 1 --against torch
  genn-delays benchmark train-step fsdd_paper --epoch first,last
  genn-delays benchmark train-step fsdd_paper rawhd_paper my/model.toml
  genn-delays benchmark inference fsdd --against genn
  genn-delays benchmark scaling --out DIR
  genn-delays benchmark kernels --out DIR
  genn-delays benchmark simulation --threads 1,2 --against genn

Everything compared takes turns in one run, so that other programs disturb all of it
alike. Figures are medians, with the quartiles beside them. Measure on a machine that
does nothing else; its load at the start is printed with the figures.
"""

_ABOUT = {
    "train-step": """\
Time whole training steps: loading, forward, loss, backward, optimisers, rewiring.
""",
    "inference": """\
Time evaluated batches, of the model's batch size and of one example.
""",
    "scaling": """\
Time, memory and operations of a training step against sparsity and against the size
of the hidden layers, beside a line in proportion to the synapses. --out draws log-log
pictures. Memory is the growth of a new process.
""",
    "memory": """\
Bytes a synapse and of activity: foreseen from the network, and measured as a new
process grows while it compiles the network and trains it for two steps. Without
MODEL the network is 256-2048-2048-20.
""",
    "compile": """\
Time to start: importing the library, compiling a network's kernels, and starting again
with kernels in the cache. Every round has an empty cache folder.
""",
    "kernels": """\
Roofline: operations and bytes a second of each pass of a training step, beside the
machine's own limits (multiplies and adds, not fused, and copies of memory), which
are measured in the same run. Backend cpu.
""",
    "simulation": """\
Synaptic events a second of a recurrent network that is simulated step by step. It has
N leaky integrate-and-fire neurons with K synapses each, individual weights and uniform
delays. Constant currents make the neurons spike at the rate asked for, whatever their
synapses do; all spikes are recorded. Where several sizes, rates, ranges of delays or
numbers of threads are given, all combinations are measured.

  genn-delays benchmark simulation --rate 5,50 --threads 1,2 --against genn,brian2
  genn-delays benchmark simulation --sizes 1000,3000,10000,30000 --out DIR
  genn-delays benchmark simulation --delays 1,1 --delays 1,25 --delays 1,250 --out DIR

An event is a spike at a synapse. Build time is that of a network with compiled kernels
at hand (GeNN and Brian2 compile theirs), bytes a synapse the growth of a new process.
--out draws events a second and time against what varies.
""",
}

_OPTIONS: dict[str, tuple[str, ...]] = {
    "train-step": ("sparsity", "hidden", "batch_size", "epoch", "backend", "threads", "against"),
    "inference": ("sparsity", "hidden", "batch_size", "backend", "threads", "against"),
    "scaling": ("sparsity", "sizes", "batch_size", "epoch", "backend", "threads", "against"),
    "memory": ("sparsity", "hidden", "batch_size", "threads", "against"),
    "compile": ("hidden", "batch_size", "backend", "threads"),
    "kernels": ("sparsity", "hidden", "batch_size", "threads"),
    "simulation": ("sizes", "synapses", "delays", "rate", "dt", "duration", "backend", "threads", "against"),
}

_HELP: dict[str, tuple[str, str]] = {
    "sparsity": ("S,S,...", "shares of the pairs without a synapse, each in [0, 1)"),
    "hidden": ("N,N", "sizes of the hidden layers, for models that are a chain"),
    "sizes": ("N,N,...", "sizes that the hidden layers have one after the other"),
    "batch_size": ("N", "examples a batch"),
    "epoch": ("WHEN", "epoch of learning rates and delay kernels: first (the default), last, or first,last"),
    "backend": ("NAME", "cpu, cuda, genn or reference"),
    "threads": ("N", "threads of the cpu backend, and of PyTorch (default: all processors)"),
    "against": (
        "WHAT",
        "in the same run, where it is installed: torch (a dense PyTorch network with a convolution over all delays) or "
        "genn (GeNN's kernels; without MODEL on a network of spikes, trained by EventProp)",
    ),
}

_SIMULATION: dict[str, tuple[str, str]] = {
    "sizes": ("N,N,...", "numbers of neurons (default: 10000)"),
    "synapses": ("K", "synapses of a neuron, on average (default: 1000)"),
    "delays": ("A,B", "shortest and longest delay in time steps (default: 1,25); may be given several times"),
    "rate": ("HZ,HZ,...", "spikes of a neuron and second (default: 5)"),
    "dt": ("MS", "length of a time step (default: 1)"),
    "duration": ("MS", "model time of a sample (default: 1000)"),
    "backend": ("NAME", "cpu (the default), cuda or reference"),
    "threads": ("N,N,...", "threads of the cpu backend (default: all processors)"),
    "against": (
        "WHAT,WHAT",
        "in the same run, where they are installed: genn (GeNN's single-threaded CPU backend) and brian2 (its "
        "cpp_standalone, with OpenMP for several threads)",
    ),
}
"""The same of ``benchmark simulation``, whose options are other ones."""


def add_benchmarks(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Every benchmark as a command of its own below `parser`; by the names that errors call them."""
    raw = argparse.RawDescriptionHelpFormatter
    group = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", dest="benchmark", required=True)
    found = {}
    for name, about in _ABOUT.items():
        summary = " ".join(about.split(".")[0].split()).lower()
        made = group.add_parser(name, help=summary, description=about, formatter_class=raw, allow_abbrev=False)
        _add_options(made, name)
        found[f"benchmark {name}"] = made
    return found


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    simulation = name == "simulation"
    several = name in ("train-step", "inference")
    text = "names or paths of models, which take turns" if several else "a model's name or path"
    if not simulation:
        many = "*" if several else "?"
        parser.add_argument("model", metavar="MODEL", nargs=many, help=f"{text} (default: see above)")
    for option in _OPTIONS[name]:
        metavar, text = (_SIMULATION if simulation else _HELP)[option]
        if name in ("memory",) and option == "against":
            text = "torch: the memory of a dense PyTorch network too, where it is installed"
        whole_ones = ("synapses",) if simulation else ("batch_size", "threads")
        kind = whole if option in whole_ones else real if option in ("dt", "duration") else str
        action = "append" if option == "delays" else "store"
        parser.add_argument(f"--{option.replace('_', '-')}", metavar=metavar, type=kind, action=action, help=text)
    parser.add_argument("--repeats", metavar="N", type=whole, help="how often everything is measured, in turns")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    parser.add_argument("--out", metavar="DIR", help="write results.json and pictures (PNG and PDF) into this folder")
