"""The command line. Everything heavy is imported by the command that needs it, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import CompileError, GennDelaysError, InvalidValueError
from .interrupts import INTERRUPTED, leave_at_once, leave_silently, raise_again
from .memory import left
from .paths import expanded
from .streams import Tolerant, drop, open_streams, say, settle_errors
from .version import __version__

if TYPE_CHECKING:
    from .runs.evaluate import Evaluation
    from .runs.result import Result

_DESCRIPTION = """\
Sparse spiking networks with a delay on every synapse, trained and rewired on
generated code.

  genn-delays train digits                     train a model, no download needed
  genn-delays train digits --sparsity 0.95     another sparsity
  genn-delays evaluate runs/digits-001         test accuracy of a run
  genn-delays show-code digits                 the C++ that is generated for it
  genn-delays info                             what works on this machine
  genn-delays selftest                         whether it computes what it should
"""

_TRAIN = """\
Train MODEL and keep everything in a run folder: the complete configuration
(config.toml), the figures of every epoch (metrics.jsonl), checkpoints (last and
best), a learning curve (learning_curve.png) and the result (result.json).

MODEL is a name (see `genn-delays info`), or the path of a TOML file, of a run's
config.toml, or of a Python file that defines build() and returns the same tables.
Options that are not given leave what the model says.
"""

_RESUME = """\
go on with the run in --out from its last checkpoint, to the same bits as an uninterrupted run (with genn, after
rewiring, to the same up to rounding). Settings cannot change,
except --epochs (it may grow; schedules and delay kernels then stretch), --threads and
--data-dir; those not given stay the run's, and MODEL may be left out
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line, exit status 2."""

    def error(self, message: str) -> NoReturn:
        raise InvalidValueError(f"{message} (see `{self.prog} --help`)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for an error, 130 where the keyboard interrupted it."""
    try:
        open_streams()
        try:
            parsed = _parse(sys.argv[1:] if arguments is None else list(arguments))
        except SystemExit:  # --help
            sys.stdout.flush()
            raise
        status: int = parsed.command(parsed)
        sys.stdout.flush()
        return status
    except GennDelaysError as error:
        say(f"genn-delays: error: {_one_line(error)}")
        return 2
    except KeyboardInterrupt as interrupt:
        folder = getattr(interrupt, "folder", None)
        hint = "" if folder is None else f"; go on with: genn-delays train --resume --out {folder}"
        if Tolerant(sys.stderr).isatty():
            say("")  # ends the line on which the terminal has shown ^C
        say(f"genn-delays: interrupted{hint}")
        return INTERRUPTED
    except MemoryError as error:
        say(f"genn-delays: error: {left(error)}")
        return 2
    except ImportError as error:  # a package that is damaged, or that there is no memory left to map
        say(f"genn-delays: error: a module cannot be loaded: {' '.join(str(error).split())}")
        return 2
    except OSError as error:
        if error.filename is None:
            drop(sys.stdout)
        if isinstance(error, BrokenPipeError):  # `genn-delays show-code digits | head`: what was wanted has been read
            return 0
        say(f"genn-delays: error: {error.filename or 'the output'}: {error.strerror or error}")
        return 2
    finally:
        settle_errors()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser, commands = _parsers()
    parsed, rest = parser.parse_known_args(arguments)
    for name in ("model", "run", "data_dir", "out", "output"):  # an empty text would be the current folder
        if getattr(parsed, name, None) == "":
            what = name.upper() if name in ("model", "run") else f"--{name.replace('_', '-')}"
            raise InvalidValueError(f"{what} must not be empty, got ''")
    if rest:
        if rest[0].startswith("-"):
            raise _unknown_option(parsed.name, rest[0].split("=")[0], commands[parsed.name])
        raise InvalidValueError(f"{parsed.name} takes no further argument {rest[0]!r}")
    return parsed


_MEANT = {
    "--batch": "--batch-size", "--checkpoint-dir": "--out", "--cpus": "--threads", "--cuda": "--backend",
    "--data": "--data-dir", "--data-path": "--data-dir", "--device": "--backend", "--gpu": "--backend",
    "--jobs": "--threads", "--layers": "--hidden", "--logdir": "--out", "--num-epochs": "--epochs",
    "--num-hidden": "--hidden", "--num-threads": "--threads", "--num-workers": "--threads", "--output": "--out",
    "--output-dir": "--out", "--save-dir": "--out", "--workers": "--threads",
}  # fmt: skip
"""Options of other programs that train, and ours."""
_IN_THE_MODEL = {
    **dict.fromkeys(("--lr", "--learning-rate", "--alpha"), "alpha of optimiser in [training]"),
    **dict.fromkeys(("--optimiser", "--optimizer", "--weight-decay", "--schedule"), "optimiser in [training]"),
    **dict.fromkeys(("--dataset",), "dataset in [training]"),
    **dict.fromkeys(("--loss", "--losses"), "losses in [compiler]"),
    **dict.fromkeys(("--dt", "--surrogate", "--clip-norm", "--max-spikes"), "a key of [compiler]"),
    **dict.fromkeys(("--l1", "--temperature", "--fraction", "--interval"), "a key of [rewiring]"),
    **dict.fromkeys(("--tau-mem", "--v-thresh", "--dropout", "--batch-norm", "--readout"), "a key of [[populations]]"),
}
"""What no option sets, and where a model's file says it."""


def _unknown_option(command: str, given: str, parser: argparse.ArgumentParser) -> InvalidValueError:
    """The error for an option that a command does not have, with the one that was meant, as far as can be told."""
    known = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    asked = given.lower().replace("_", "-")
    if _MEANT.get(asked) in known:
        hint = f" Did you mean {_MEANT[asked]!r}?"
    elif command == "train" and asked in _IN_THE_MODEL:
        hint = f" The model's file says that: {_IN_THE_MODEL[asked]}; give MODEL as the path of a copy."
    else:  # compared without the dashes, which all have
        near = get_close_matches(given.strip("-"), [name[2:] for name in known - {"--help"}], n=1, cutoff=0.7)
        hint = f" Did you mean '--{near[0]}'?" if near else ""
    return InvalidValueError(f"unknown option of {command} {given!r}; known: {', '.join(sorted(known))}.{hint}")


def _one_line(error: GennDelaysError) -> str:
    if isinstance(error, CompileError):
        log = error.log.strip().splitlines() or ["no output"]
        full = os.strerror(errno.ENOSPC)
        cause = next((line for line in log if full in line), None)  # a linker does not call that an error
        cause = cause or next((line for line in log if "error" in line.lower()), log[-1])
        kept = _keep_log(error)
        return f"{error.stage} of generated code failed: {cause.strip()} (source: {error.source}{kept})"
    return " ".join(str(error).split())


def _keep_log(error: CompileError) -> str:
    """Write the compiler's whole output beside the source; where it is, for the message."""
    from .paths import atomic_write

    path = Path(error.source).with_suffix(".log")
    try:
        atomic_write(path, error.log.encode())
    except GennDelaysError:
        return ""
    return f", the compiler's output: {path}"


# --- the parsers -----------------------------------------------------------------------------------------------------


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

    _train_options(add("train", _train, "train a model and keep the run in a folder", _TRAIN))
    _evaluate_options(add("evaluate", _evaluate, "test accuracy of a run's checkpoint"))
    show = add("show-code", _show_code, "print the source that is generated for a model; without a compiler too")
    show.add_argument("model", metavar="MODEL", help="a model's name or path, as for train")
    show.add_argument(
        "--backend", metavar="NAME", default="cpu", help="cpu, cuda, or genn: what GeNN is given, and where its code is"
    )
    show.add_argument(
        "--launches", action="store_true",
        help="with --backend cuda, in place of the source: launches, kernels and bytes of a training step and of an "
        "evaluated batch; no GPU is needed",
    )  # fmt: skip
    show.add_argument("--output", metavar="FILE", help="write to FILE in place of standard output")
    test = add("selftest", _selftest, "whether a backend computes on this machine what it should: status 0 or 1")
    test.add_argument("--backend", metavar="NAME", default="cpu", help="cpu (the default), cuda or genn")
    test.add_argument("--quick", action="store_true", help="only a part of the features, and digits with fewer neurons")
    test.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    add("info", _info, "backends, compiler, threads, folders, models and data sets on this machine")
    return parser, dict(group.choices)


def _whole(text: str) -> Any:
    """A whole number, or the text for the error that names it."""
    try:
        return int(text)
    except ValueError:
        return text


def _real(text: str) -> Any:
    """A number, or the text for the error that names it."""
    try:
        return float(text)
    except ValueError:
        return text


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a model's name or path")
    what = parser.add_argument_group("what is trained")
    what.add_argument("--sparsity", type=_real, metavar="S", help="share of the pairs without a synapse, in [0, 1)")
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
    what.add_argument("--kernel-count", type=_whole, metavar="M", help="synapses of every connected pair")
    what.add_argument("--hidden", metavar="N,N", help="sizes of the hidden layers, for models that are a chain")
    what.add_argument(
        "--dale", action=argparse.BooleanOptionalAction, default=None,
        help="Dale's law: all synapses of a neuron have one sign while they are rewired",
    )  # fmt: skip
    what.add_argument("--seed", type=_whole, metavar="N", help="seed of the network and of training")
    how = parser.add_argument_group("how")
    how.add_argument("--epochs", type=_whole, metavar="N", help="passes over the training data")
    how.add_argument("--batch-size", type=_whole, metavar="N", help="examples a training step")
    how.add_argument(
        "--validation", type=_real, metavar="SHARE",
        help="share of the training data, the same of every class, held out to choose the best epoch; with 0 that "
        "epoch is chosen on the test set, and is labelled so",
    )  # fmt: skip
    how.add_argument(
        "--backend", metavar="NAME",
        help="cpu (generated C++), cuda (generated CUDA, on an NVIDIA GPU), genn (GeNN's kernels, where PyGeNN is "
        "installed) or reference (NumPy, slow)",
    )  # fmt: skip
    how.add_argument(
        "--threads", type=_whole, metavar="N", help="threads of the cpu backend; results do not depend on them"
    )
    files = parser.add_argument_group("files and output")
    files.add_argument("--data-dir", metavar="DIR", help="where the data set's files are ($GENN_DELAYS_DATA otherwise)")
    files.add_argument("--out", metavar="DIR", help="run folder, new or empty (default: runs/MODEL-NNN)")
    files.add_argument("--resume", action="store_true", help=" ".join(_RESUME.split()))
    files.add_argument("--json", action="store_true", help="print the result as one JSON object on one line")
    files.add_argument("--quiet", action="store_true", help="no progress bar, and nothing said of the data")


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="best (the default) or last")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data set's files are, if not where training had them"
    )
    parser.add_argument("--backend", metavar="NAME", help="cpu, cuda, genn or reference, if not the run's")
    parser.add_argument("--threads", type=_whole, metavar="N", help="threads of the cpu backend, if not the run's")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on one line")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and nothing said of the data")


# --- the commands ----------------------------------------------------------------------------------------------------


def _note(text: str) -> None:
    say(f"genn-delays: {text}")


def _train(args: argparse.Namespace) -> int:
    from .runs.folder import RunFolder
    from .runs.overrides import Overrides
    from .runs.resume import new_config, resumed_config
    from .runs.train import train

    raise_again()
    overrides = Overrides(
        args.sparsity, args.epochs, args.seed, args.batch_size, args.threads, args.backend, args.rewiring,
        args.growth_delay, args.dale, args.validation,
        None if args.data_dir is None else str(expanded(args.data_dir).absolute()),
        args.delays, args.kernel_count, args.hidden, args.compiler,
    )  # fmt: skip
    folder = None if args.out is None else RunFolder(args.out)
    config = None
    if args.resume:
        if folder is None:
            raise InvalidValueError("--resume needs --out DIR, the folder of the run to go on with")
        config = resumed_config(args.model, overrides, folder)
    config = config or new_config(args.model, overrides)
    result = train(config, folder, resume=args.resume, progress=not args.quiet, note=_note)
    print(result.json() if args.json else _summary(result))
    return 0


def _summary(r: Result) -> str:
    rows = [
        ("network", f"{r.synapses:,} synapses, sparsity {100 * r.sparsity:.4g} %, backend {r.backend}, seed {r.seed}"),
        ("rewiring", "none" if r.rewiring == "none" else f"{r.rewiring}, {r.rewirings:,} synapses rewired"),
        ("training", f"{r.epochs} epoch{'s'[: r.epochs > 1]} in {r.seconds:.1f} s, {r.step_ms:.2f} ms a step"),
        ("train accuracy", f"{100 * r.train_accuracy:6.2f} %  last epoch, while learning"),
    ]
    if r.validation_accuracy is not None:
        rows.append(("validation accuracy", f"{100 * r.validation_accuracy:6.2f} %  last epoch"))
    rows.append(("test accuracy", f"{100 * r.test_accuracy:6.2f} %  last epoch"))
    if r.selected_by != r.best_test_chosen_on:
        where = f"epoch {r.selected_epoch}, chosen on the {r.selected_by}"
        rows.append(("selected test accuracy", f"{100 * r.selected_test_accuracy:6.2f} %  {where}"))
    where = f"epoch {r.best_test_epoch}, chosen on the {r.best_test_chosen_on}"
    rows += [("best test accuracy", f"{100 * r.best_test_accuracy:6.2f} %  {where}"), ("run folder", r.out)]
    return "\n".join([r.model, *(f"  {name:<22}  {text}" for name, text in rows)])


def _evaluate(args: argparse.Namespace) -> int:
    from .runs.evaluate import evaluate
    from .runs.folder import RunFolder

    raise_again()
    data_dir = None if args.data_dir is None else str(expanded(args.data_dir).absolute())
    found: Evaluation = evaluate(
        RunFolder(args.run), args.checkpoint, data_dir=data_dir, backend=args.backend, threads=args.threads,
        progress=not args.quiet,
    )  # fmt: skip
    if args.json:
        print(json.dumps(found.tables()))
    else:
        chosen = "" if found.selected_by is None else f", chosen on the {found.selected_by}"
        print(
            f"{found.model}: test accuracy {100 * found.test_accuracy:.2f} %, loss {found.test_loss:.4f} on "
            f"{found.examples} examples of {found.dataset} ({found.checkpoint} checkpoint, epoch {found.epoch}"
            f"{chosen})"
        )
    return 0


def _show_code(args: argparse.Namespace) -> int:
    from .runs.code import annotated_source
    from .runs.models import load_model

    raise_again()
    if args.launches:
        from .runs.launches import table

        if args.backend != "cuda":
            raise InvalidValueError(f"--launches counts what --backend cuda launches, got --backend {args.backend}")
        source = table(load_model(args.model))
    else:
        source = annotated_source(load_model(args.model), args.backend)
    if args.output is None:
        sys.stdout.write(source)
    else:
        from .paths import atomic_write

        atomic_write(expanded(args.output), source.encode())
    return 0


def _selftest(args: argparse.Namespace) -> int:
    from .selftest.run import run_and_print

    raise_again()
    return run_and_print(args.backend, quick=args.quick, as_json=args.json)


def _info(args: argparse.Namespace) -> int:
    from .runs.info import report

    raise_again()
    print(report())
    return 0


if __name__ == "__main__":
    leave_at_once()
    _status = main()
    leave_silently()
    sys.exit(_status)
