"""The command ``simulate`` and its options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import InvalidValueError
from ..interrupts import raise_again
from ..paths import expanded
from ..streams import say
from .sweeps import add_set
from .values import own_data, real, whole

if TYPE_CHECKING:
    from ..runs.simulate import SimulationResult
    from ..runs.simulate_trained import TrainedSimulation

SIMULATE = """\
Simulate MODEL for a time, step by step, and keep everything in a folder: the complete
configuration (config.toml), spikes (spikes/POPULATION.npz), their statistics
(result.json), a raster and rates as pictures.

  genn-delays simulate brunel
  genn-delays simulate potjans_diesmann --scale 0.1 --duration 2000
  genn-delays simulate vogels_abbott_cuba --set connections.*.delay=5 --seed 1

MODEL is a name (see `genn-delays info`), or the path of a TOML file with [simulation], of
a simulation's config.toml, or of a Python file that defines build() and returns the same
tables. Options override the model's settings.

MODEL may also be the folder of a training run. Then its trained network is fed the test
set event by event: the accuracy, and the share of spikes that are those of `predict`.

  genn-delays simulate runs/digits-001
"""

_SCALE = """\
share of the network's full size, above 0, at most 1: neurons and synapses of every neuron by this factor, weights and
a constant current so that mean and variance of the input stay (van Albada et al. 2015)
"""


def add_simulate(parser: argparse.ArgumentParser) -> None:
    """The options of ``simulate``."""
    parser.add_argument("model", metavar="MODEL", help="a model's name or path")
    what = parser.add_argument_group("what is simulated")
    what.add_argument("--duration", type=real, metavar="MS", help="simulated time in ms, a multiple of the time step")
    what.add_argument("--scale", type=real, metavar="S", help=" ".join(_SCALE.split()))
    what.add_argument("--seed", type=whole, metavar="N", help="seed of the network and of random input")
    add_set(what)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--backend", metavar="NAME", help="cpu (generated C++), cuda (an NVIDIA GPU) or reference (NumPy, slow)"
    )
    how.add_argument(
        "--threads", type=whole, metavar="N", help="threads of the cpu backend; results do not depend on them"
    )
    run = parser.add_argument_group("of a training run's folder")
    run.add_argument("--checkpoint", choices=("best", "last"), help="which of the run's checkpoints (default: best)")
    run.add_argument("--examples", type=whole, metavar="N", help="the first N of the test set (default: all)")
    run.add_argument("--data-dir", metavar="DIR", help="folder of the data, if it is not the run's")
    run.add_argument("--data", metavar="FILE", help="other data in place of the run's, as in evaluate")
    files = parser.add_argument_group("files and output")
    files.add_argument("--out", metavar="DIR", help="folder, new or empty (default: runs/MODEL-NNN)")
    files.add_argument("--json", action="store_true", help="print the result as one JSON object on one line")
    files.add_argument("--quiet", action="store_true", help="no progress bar, and no remarks")


_OF_MODELS = ("duration", "scale", "seed", "set", "out")
_OF_RUNS = ("checkpoint", "examples", "data_dir", "data")


def simulate(args: argparse.Namespace) -> int:
    """Simulate a model, or the trained network of a run, and print its figures."""
    from ..runs.models import run_or_model

    is_run = run_or_model(args.model) is not None
    for name in _OF_MODELS if is_run else _OF_RUNS:
        if getattr(args, name) not in (None, []):
            other, kind = ("models", "the folder of a run") if is_run else ("folders of training runs", "a model")
            raise InvalidValueError(f"--{name.replace('_', '-')} is an option for {other}, and {args.model} is {kind}")
    return _simulate_run(args) if is_run else _simulate_model(args)


def _simulate_run(args: argparse.Namespace) -> int:
    from ..runs.folder import RunFolder
    from ..runs.simulate_trained import simulate_trained

    raise_again()
    data_dir = None if args.data_dir is None else str(expanded(args.data_dir).absolute())
    result = simulate_trained(
        RunFolder(args.model), args.checkpoint or "best", examples=args.examples, data_dir=data_dir,
        data=own_data(args), backend=args.backend, threads=args.threads, progress=not args.quiet,
    )  # fmt: skip
    print(result.json() if args.json else _trained_summary(result))
    return 0


def _simulate_model(args: argparse.Namespace) -> int:
    from ..runs.folder import RunFolder
    from ..runs.models import load_simulation_model
    from ..runs.settings import read_setting, with_settings
    from ..runs.simulate import simulate as simulate_and_keep
    from ..runs.simulated import SimulationOverrides

    raise_again()
    overrides = SimulationOverrides(args.duration, args.scale, args.seed, args.threads, args.backend)
    settings = dict(read_setting(text) for text in args.set)
    for name in ("duration", "scale", "threads", "backend"):
        if getattr(args, name) is not None and f"simulation.{name}" in settings:
            raise InvalidValueError(f"--{name} and --set simulation.{name} are one setting: give one of them")
    config = with_settings(load_simulation_model(args.model), settings)
    folder = None if args.out is None else RunFolder(args.out)

    def note(text: str) -> None:
        if not args.quiet:
            say(f"genn-delays: {' '.join(text.split())}")

    result = simulate_and_keep(overrides.apply(config), folder, progress=not args.quiet, note=note)
    print(result.json() if args.json else _summary(result))
    return 0


def _trained_summary(r: TrainedSimulation) -> str:
    accuracy = "-" if r.accuracy is None else f"{100 * r.accuracy:.2f} %"
    predicted = "-" if r.predicted_accuracy is None else f"{100 * r.predicted_accuracy:.2f} %"
    rows = [
        ("run", f"{r.out}, {r.checkpoint} checkpoint, epoch {r.epoch}, backend {r.backend}"),
        ("simulated", f"{r.examples:,} test examples of {r.dataset}, {r.example_ms:g} ms each"),
        ("accuracy", f"{accuracy}; by predict {predicted}; equal answers {100 * r.equal_answers:.2f} %"),
        ("spikes", f"{100 * r.equal_spikes:.4f} % are those of predict"),
        ("outputs", f"differ by at most {r.largest_difference:.2g} of the largest"),
        ("built in", f"{r.build_seconds:.2f} s"),
        ("run in", f"{r.run_seconds:.2f} s, real-time factor {r.real_time_factor:.3g}"),
    ]
    lines = [r.model, *(f"  {name:<10}  {text}" for name, text in rows)]
    width = max([10, *(len(p.name) for p in r.populations)])
    if r.populations:
        lines.append(f"  {'population':<{width}}     spikes  by predict  equal")
    lines += [
        f"  {p.name:<{width}}  {p.simulated:>9,}  {p.predicted:>10,}  {100 * p.equal:.4f} %" for p in r.populations
    ]
    return "\n".join(lines)


def _summary(r: SimulationResult) -> str:
    scale = "" if r.scale == 1 else f", scale {r.scale:g}"
    after = f", figures from {r.transient:g} ms on" if r.transient else ""
    rows = [
        ("network", f"{r.neurons:,} neurons, {r.synapses:,} synapses{scale}, backend {r.backend}, seed {r.seed}"),
        ("simulated", f"{r.duration:g} ms in steps of {r.dt:g} ms{after}"),
        ("built in", f"{r.build_seconds:.2f} s"),
        ("run in", f"{r.run_seconds:.2f} s, real-time factor {r.real_time_factor:.3g}"),
    ]
    lines = [r.model, *(f"  {name:<10}  {text}" for name, text in rows)]
    if r.populations:
        width = max(10, *(len(p.name) for p in r.populations))
        heads = "neurons  rate (Hz)  CV of ISI  synchrony  correlation  rhythm (Hz)   silent"
        lines.append(f"  {'population':<{width}}  {heads}")
        for p in r.populations:
            cv, synchrony = (f"{'-' if v is None else f'{v:.3f}':>9}" for v in (p.cv_isi, p.synchrony))
            correlation = f"{'-' if p.correlation is None else f'{p.correlation:.4f}':>11}"
            rhythm = f"{'-' if p.rhythm is None else f'{p.rhythm:.0f}':>11}"
            figures = f"{p.neurons:>7}  {p.rate:>9.3f}  {cv}  {synchrony}  {correlation}  {rhythm}  {p.silent:>7}"
            lines.append(f"  {p.name:<{width}}  {figures}")
    return "\n".join([*lines, f"  {'folder':<10}  {r.out}"])
