"""The commands and their options."""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any, NoReturn

from ..errors import InvalidValueError
from ..version import __version__
from . import commands
from .analyse import ANALYSE, analyse
from .analyse import add_options as add_analyse_options
from .benchmarks import BENCHMARK, add_benchmarks
from .completion import COMPLETION, add_completion, completion
from .export import EXPORT, add_export, export
from .options import add_backend, add_data_dir, add_data_file
from .report import REPORT, add_report, report
from .simulate import SIMULATE, add_simulate, simulate
from .sweeps import SWEEP, add_set, sweep_options
from .unknown import unknown_option
from .values import real, whole

_DESCRIPTION = """\
Sparse spiking networks with a delay on every synapse, trained and rewired on
generated code.

  genn-delays train digits                     train a model, no download needed
  genn-delays train digits --sparsity 0.95     another sparsity
  genn-delays simulate brunel                  run a network for a time, no training
  genn-delays evaluate runs/digits-001         test accuracy of a run
  genn-delays analyse runs/digits-001          receptive fields, synapses, classes
  genn-delays report runs/digits-001           a page about it, to be read in a browser
  genn-delays export runs/digits-001 --out digits.nir    for other simulators
  genn-delays show-code digits                 the C++ that is generated for it
  genn-delays info                             what works on this machine
  genn-delays selftest                         whether it computes what it should
  genn-delays benchmark train-step             how long a training step takes here
"""

_TRAIN = """\
Train MODEL and keep everything in a run folder: the complete configuration
(config.toml), the figures of every epoch (metrics.jsonl), checkpoints (last and
best), a learning curve (learning_curve.png) and the result (result.json).

MODEL is a name (see `genn-delays info`), or the path of a TOML file, of a run's
config.toml, or of a Python file that defines build() and returns the same tables.
Options override the model's settings.
"""

_RESUME = """\
resume the run in --out from its last checkpoint, to the same bits as an uninterrupted run (with genn, after
rewiring, up to rounding). Settings cannot change, except --epochs (it may grow; schedules and delay kernels
then stretch), --threads, --data-dir and --data (another place of the same content); those not given stay the
run's, and MODEL may be left out
"""


_COSTS = """\
Count the costs of a training step and of inference: floating point operations by
pass, the same of a dense network, synaptic operations (as NeuroBench defines
them), energy by stated figures, bytes by buffer, and training as Evci et al. 2020
count it. Spikes are counted on test examples: of a run with its checkpoint, of a
model as it begins.
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line, exit status 2."""

    def error(self, message: str) -> NoReturn:
        raise InvalidValueError(f"{message} (see `{self.prog} --help`)")


def parse(arguments: list[str]) -> argparse.Namespace:
    """A command line's arguments.

    Raises:
        InvalidValueError: an option or an argument does not exist, or is empty.
    """
    parser, known = _parsers()
    try:
        parsed, rest = parser.parse_known_args(arguments)
    except InvalidValueError as error:
        raise _of_a_dash(arguments, error) from error
    for name in (
        "model",
        "run",
        "what",
        "data",
        "spec",
        "data_dir",
        "out",
        "output",
        "picture",
    ):  # an empty text would be the current folder
        given = getattr(parsed, name, None)
        if given == "" or (isinstance(given, list) and "" in given):
            what = {"model": "MODEL", "run": "RUN", "what": "MODEL|RUN", "spec": "SPEC"}.get(
                name
            ) or f"--{name.replace('_', '-')}"
            raise InvalidValueError(f"{what} must not be empty, got ''")
    command = f"{parsed.name} {parsed.benchmark}" if parsed.name == "benchmark" else parsed.name
    if rest:
        if rest[0].startswith("-"):
            raise unknown_option(command, rest[0].split("=")[0], known[command])
        raise InvalidValueError(f"{command} takes no further argument {rest[0]!r}")
    return parsed


def _of_a_dash(arguments: list[str], error: InvalidValueError) -> InvalidValueError:
    """The error; where an option's value begins with a dash, which looks like another option, how it is written."""
    for option, value in pairwise(arguments):
        lacks = f"argument {option}: expected one argument" in str(error)
        if lacks and value.startswith("-") and not value.startswith("--"):
            return InvalidValueError(f"{option}: a value that begins with a dash is written {option}={value}")
    return error


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser("genn-delays", description=_DESCRIPTION, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"genn-delays {__version__}")
    group = parser.add_subparsers(title="commands", metavar="COMMAND", dest="name", required=True)

    def add(name: str, command: Any, summary: str, description: str | None = None) -> argparse.ArgumentParser:
        made = group.add_parser(
            name, help=summary, description=description or summary, formatter_class=raw, allow_abbrev=False
        )
        made.set_defaults(command=command)
        return made

    _train_options(add("train", commands.train, "train a model and keep the run in a folder", _TRAIN))
    sweep_options(add("sweep", commands.sweep, "train many runs: a model, lists of settings, seeds", SWEEP))
    add_simulate(add("simulate", simulate, "simulate a network for a time: rates, rasters, spikes", SIMULATE))
    _evaluate_options(add("evaluate", commands.evaluate, "test accuracy of a run's checkpoint"))
    add_analyse_options(add("analyse", analyse, "receptive fields, Moran's I and other figures of a run", ANALYSE))
    add_report(add("report", report, "one HTML page about one run or several", REPORT))
    add_export(add("export", export, "write a network for other simulators and chips: NIR", EXPORT))
    show = add("show-code", commands.show_code, "print the source generated for a model; no compiler is needed")
    show.add_argument("model", metavar="MODEL", help="a model's name or path, as for train")
    show.add_argument(
        "--backend", metavar="NAME", default="cpu", help="cpu (the default), cuda or genn (and its folder)"
    )
    show.add_argument(
        "--launches", action="store_true",
        help="with --backend cuda, in place of the source: launches, kernels and bytes of a training step and of an "
        "evaluated batch; no GPU is needed",
    )  # fmt: skip
    show.add_argument("--output", metavar="FILE", help="write to FILE in place of standard output")
    test = add(
        "selftest", commands.selftest, "check that a backend computes correct results on this machine: status 0 or 1"
    )
    test.add_argument("--backend", metavar="NAME", default="cpu", help="cpu (the default), cuda or genn")
    test.add_argument("--quick", action="store_true", help="only a part of the features, and digits with fewer neurons")
    test.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    _costs_options(add("costs", commands.costs, "operations, bytes and energy of a model or a run, counted", _COSTS))
    made = add("benchmark", commands.benchmark, "time, memory and scaling on this machine, measured", BENCHMARK)
    benchmarks = add_benchmarks(made)
    made = add("completion", completion, "print a script by which a shell completes the command line", COMPLETION)
    add_completion(made, lambda: _parsers()[0])
    add("info", commands.info, "backends, compiler, threads, folders, models and data sets on this machine")
    return parser, {**group.choices, **benchmarks}


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a model's name or path")
    what = parser.add_argument_group("what is trained")
    what.add_argument("--sparsity", type=real, metavar="S", help="share of the pairs without a synapse, in [0, 1)")
    what.add_argument(
        "--rewiring", metavar="RULE",
        help="none, deep_r (grows at random), deep_r_rigl (grows where dL/dw helps most), rigl or set; at --sparsity 0 "
        "it is none",
    )  # fmt: skip
    what.add_argument(
        "--growth-delay", metavar="HOW",
        help="delay of a regrown synapse: pair (always the pair's own), redraw, or best (where it would help most)",
    )  # fmt: skip
    what.add_argument("--delays", metavar="HOW", help="fixed, or learned (as the model says, or DCLS as published)")
    what.add_argument(
        "--compiler", metavar="HOW",
        help="surrogate (gradients through a smooth spike), or eventprop (exact ones at spikes; needs exponential "
        "synapses)",
    )  # fmt: skip
    what.add_argument("--kernel-count", type=whole, metavar="M", help="synapses of every connected pair")
    what.add_argument("--hidden", metavar="N,N", help="sizes of the hidden layers, for models that are a chain")
    what.add_argument(
        "--dale", action=argparse.BooleanOptionalAction, default=None,
        help="Dale's law: all synapses of a neuron have one sign while they are rewired",
    )  # fmt: skip
    what.add_argument("--seed", type=whole, metavar="N", help="seed of the network and of training")
    add_set(what)
    how = parser.add_argument_group("how")
    how.add_argument("--epochs", type=whole, metavar="N", help="passes over the training data")
    how.add_argument("--batch-size", type=whole, metavar="N", help="examples a training step")
    how.add_argument(
        "--validation", type=real, metavar="SHARE",
        help="share of the training data, the same of every class, held out to choose the best epoch; with 0 that "
        "epoch is chosen on the test set, and is labelled so",
    )  # fmt: skip
    how.add_argument(
        "--backend", metavar="NAME",
        help="cpu (generated C++), cuda (generated CUDA, on an NVIDIA GPU), genn (GeNN's kernels, where PyGeNN is "
        "installed) or reference (NumPy, slow)",
    )  # fmt: skip
    how.add_argument(
        "--threads", type=whole, metavar="N", help="threads of the cpu backend; results do not depend on them"
    )
    how.add_argument(
        "--distributed", action="store_true",
        help="be one of the processes that mpiexec has started, which share every batch: mpiexec -n 4 genn-delays "
        "train MODEL --distributed gives the files of one process, bit for bit; needs mpi4py",
    )  # fmt: skip
    how.add_argument(
        "--timeout", type=real, metavar="SECONDS",
        help="with --distributed: a process that is this late in a step hangs, and all end (default 30)",
    )  # fmt: skip
    files = parser.add_argument_group("files and output")
    add_data_file(files)
    files.add_argument("--data-dir", metavar="DIR", help="where the data set's files are ($GENN_DELAYS_DATA otherwise)")
    files.add_argument("--out", metavar="DIR", help="run folder, new or empty (default: runs/MODEL-NNN)")
    files.add_argument("--resume", action="store_true", help=" ".join(_RESUME.split()))
    files.add_argument("--json", action="store_true", help="print the result as one JSON object on one line")
    files.add_argument("--quiet", action="store_true", help="no progress bar, and no messages about the data")


def _costs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="MODEL|RUN", help="a model's name or path, or a run's folder")
    parser.add_argument(
        "--examples", type=whole, default=256, metavar="N",
        help="test examples on which spikes are counted (default 256; all there are, if fewer)",
    )  # fmt: skip
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="of a run: best (the default) or last")
    add_data_file(parser)
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data set's files are ($GENN_DELAYS_DATA otherwise)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    parser.add_argument("--picture", metavar="FILE", help="draw operations by pass, and of training, into a PNG or PDF")


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="best (the default) or last")
    add_data_file(parser)
    add_data_dir(parser)
    add_backend(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on one line")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no messages about the data")
