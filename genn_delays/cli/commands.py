"""The functions of the commands; each imports its own modules."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from ..errors import CommunicationError, GennDelaysError, InvalidValueError
from ..interrupts import INTERRUPTED, raise_again
from ..paths import expanded
from ..streams import say
from .values import own_data

if TYPE_CHECKING:
    from ..communicators import Communicator
    from ..runs.evaluate import Evaluation
    from ..runs.result import Result

FAILED = 2
"""The exit status of an error."""


def _note(text: str) -> None:
    say(f"genn-delays: {text}")


def train(args: argparse.Namespace) -> int:
    """Train a model, or go on with a run, and print the result; with --distributed as one of several processes."""
    raise_again()
    if not args.distributed:
        if args.timeout is not None:
            raise InvalidValueError("--timeout is for --distributed: seconds that a process may be late")
        return _train(args, None)
    from ..communicators import MPI

    communicator = MPI() if args.timeout is None else MPI(args.timeout)
    try:
        return _train(args, communicator)
    except BaseException as error:
        communicator.fail(error)  # the others are told, and one of them all reports it
        if not isinstance(error, GennDelaysError):
            raise
        if not communicator.speaks(error):
            return FAILED
        if communicator.rank == 0:
            raise
        raise CommunicationError(f"rank {communicator.rank} ({communicator.place()}): {error}") from error


def _train(args: argparse.Namespace, communicator: Communicator | None) -> int:
    """Train as the only process, or as one of several ranks."""
    from ..runs.folder import RunFolder
    from ..runs.overrides import Overrides
    from ..runs.ranks import check_shared
    from ..runs.resume import new_config, resumed_config
    from ..runs.settings import read_setting
    from ..runs.train import train as train_and_keep

    overrides = Overrides(
        args.sparsity, args.epochs, args.seed, args.batch_size, args.threads, args.backend, args.rewiring,
        args.growth_delay, args.dale, args.validation,
        None if args.data_dir is None else str(expanded(args.data_dir).absolute()),
        args.delays, args.kernel_count, args.hidden, args.compiler, data=own_data(args),
    )  # fmt: skip
    settings = dict(read_setting(text) for text in args.set)
    folder = None if args.out is None else RunFolder(args.out)
    config = None
    if args.resume:
        if folder is None:
            raise InvalidValueError("--resume needs --out DIR, the folder of the run to resume")
        check_shared(communicator, folder)
        config = resumed_config(args.model, overrides, folder, settings)
    config = config or new_config(args.model, overrides, settings)
    result = train_and_keep(
        config, folder, resume=args.resume, progress=not args.quiet, note=_note, communicator=communicator
    )
    if result is None:  # another rank prints it
        return 0
    print(result.json() if args.json else _summary(result))
    return 0


def _summary(r: Result) -> str:
    rows = [
        ("network", f"{r.synapses:,} synapses, sparsity {100 * r.sparsity:.4g} %, backend {r.backend}, seed {r.seed}"),
        ("rewiring", "none" if r.rewiring == "none" else f"{r.rewiring}, {r.rewirings:,} synapses rewired"),
        ("training", f"{r.epochs} epoch{'s'[: r.epochs > 1]} in {r.seconds:.1f} s, {r.step_ms:.2f} ms a step"),
        _figure("train", r.train_accuracy, r.train_loss, "last epoch, while learning"),
    ]
    if r.validation_accuracy is not None or r.validation_loss is not None:
        rows.append(_figure("validation", r.validation_accuracy, r.validation_loss, "last epoch"))
    rows.append(_figure("test", r.test_accuracy, r.test_loss, "last epoch"))
    if r.selected_by != r.best_test_chosen_on:
        where = f"epoch {r.selected_epoch}, chosen on the {r.selected_by}"
        rows.append(_figure("selected test", r.selected_test_accuracy, r.selected_test_loss, where))
    where = f"epoch {r.best_test_epoch}, chosen on the {r.best_test_chosen_on}"
    rows += [_figure("best test", r.best_test_accuracy, r.best_test_loss, where), ("run folder", r.out)]
    return "\n".join([r.model, *(f"  {name:<22}  {text}" for name, text in rows)])


def _figure(what: str, accuracy: float | None, loss: float | None, where: str) -> tuple[str, str]:
    """The accuracy, or the loss where there is none."""
    if accuracy is not None:
        return f"{what} accuracy", f"{100 * accuracy:6.2f} %  {where}"
    return f"{what} loss", f"{'no number' if loss is None else f'{loss:.6g}'}  {where}"


def evaluate(args: argparse.Namespace) -> int:
    """Print the test accuracy of a run's checkpoint."""
    from ..runs.evaluate import evaluate as evaluate_run
    from ..runs.folder import RunFolder

    raise_again()
    data_dir = None if args.data_dir is None else str(expanded(args.data_dir).absolute())
    found: Evaluation = evaluate_run(
        RunFolder(args.run), args.checkpoint, data_dir=data_dir, data=own_data(args), backend=args.backend,
        threads=args.threads, progress=not args.quiet,
    )  # fmt: skip
    if args.json:
        print(json.dumps(found.tables()))
    else:
        accuracy = "" if found.test_accuracy is None else f"accuracy {100 * found.test_accuracy:.2f} %, "
        chosen = "" if found.selected_by is None else f", chosen on the {found.selected_by}"
        print(
            f"{found.model}: test {accuracy}loss {found.test_loss:.4f} on "
            f"{found.examples} examples of {found.dataset} ({found.checkpoint} checkpoint, epoch {found.epoch}"
            f"{chosen})"
        )
    return 0


def show_code(args: argparse.Namespace) -> int:
    """Print the generated source of a model, or its launches."""
    from ..runs.code import annotated_source
    from ..runs.models import load_model

    raise_again()
    if args.launches:
        from ..runs.launches import table

        if args.backend != "cuda":
            raise InvalidValueError(f"--launches counts what --backend cuda launches, got --backend {args.backend}")
        source = table(load_model(args.model))
    else:
        source = annotated_source(load_model(args.model), args.backend)
    if args.output is None:
        sys.stdout.write(source)
    else:
        from ..paths import atomic_write

        atomic_write(expanded(args.output), source.encode())
    return 0


def sweep(args: argparse.Namespace) -> int:
    """Train the runs of a sweep; status 1 where some failed."""
    from ..sweeps.sweep import sweep as sweep_and_keep

    raise_again()
    out = None if args.out is None else expanded(args.out)
    try:
        done = sweep_and_keep(
            args.spec, out, processes=args.processes, threads=args.threads, scheduler=args.scheduler,
            progress=not args.quiet, note=_note,
        )  # fmt: skip
    except KeyboardInterrupt:
        _note("interrupted; nothing that was finished is lost, and the same command goes on where it stopped")
        return INTERRUPTED
    print(json.dumps(done.tables()) if args.json else done)
    return 1 if done.failed else 0


def costs(args: argparse.Namespace) -> int:
    """Counts operations, bytes and energy."""
    from ..runs.costs import check_picture, costs_of_run, draw

    raise_again()
    if args.picture is not None:
        check_picture(expanded(args.picture))
    report = costs_of_run(args.what, args.examples, args.checkpoint, args.data_dir, own_data(args))
    if args.picture is not None:
        draw(report, expanded(args.picture))
    print(json.dumps(report.tables()) if args.json else report)
    return 0


def benchmark(args: argparse.Namespace) -> int:
    """Runs a benchmark on random data."""
    from ..benchmarks.options import Options
    from ..benchmarks.run import run_and_print

    raise_again()
    names = [f.name for f in fields(Options) if f.name != "told"]
    options = Options(**{name: getattr(args, name, None) for name in names}, told=_note)
    return run_and_print(args.benchmark, options, as_json=args.json, out=args.out)


def selftest(args: argparse.Namespace) -> int:
    """Compare a backend with `reference` on this machine."""
    from ..selftest.run import run_and_print

    raise_again()
    return run_and_print(args.backend, quick=args.quick, as_json=args.json)


def info(args: argparse.Namespace) -> int:
    """Print what works on this machine."""
    from ..runs.info import report

    raise_again()
    print(report())
    return 0
