"""The command ``export``, its options and its function."""

from __future__ import annotations

import argparse

from ..interrupts import raise_again
from ..paths import expanded
from .options import add_backend, add_data_dir, add_data_file
from .values import own_data, whole

EXPORT = """\
Export the network of a run, or of a model as it begins, for other simulators and
chips: batch norm folded into its weights, every synapse with its delay.

  genn-delays export runs/fsdd-001 --out fsdd.nir
  genn-delays export runs/fsdd-001 --target loihi2 --bits 8 --out fsdd.nir

A receipt is printed: everything that was changed, what the chip refuses of the
network as exported, and the test accuracy before and after. Nothing is changed that
is not asked for. The status is 1 where the chip refuses something; the file is
written all the same. docs/nir.md describes it.
"""


def add_export(parser: argparse.ArgumentParser) -> None:
    """The options of ``export``."""
    parser.add_argument("what", metavar="RUN|MODEL", help="a run's folder, or a model's name or path")
    parser.add_argument("--out", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--format", default="nir", metavar="NAME", help="nir (needs the package nir), the only one")
    parser.add_argument(
        "--encoding", default="sparse", metavar="HOW",
        help="sparse (the default: memory in proportion to the synapses), or dense (a matrix for every delay, for "
        "programs that read NIR's own nodes alone)",
    )  # fmt: skip
    parser.add_argument("--target", metavar="CHIP", help="check against a chip's limits: loihi2, spinnaker2 or xylo")
    parser.add_argument(
        "--bits", type=whole, metavar="N", help="round weights to N bits, the sign included, one scale a connection"
    )
    parser.add_argument("--max-delay", type=whole, metavar="STEPS", help="shorten delays to at most so many time steps")
    parser.add_argument(
        "--delays", default="clip", metavar="HOW",
        help="with --max-delay: clip (the default; longer ones become STEPS), or rescale (all delays of a connection)",
    )  # fmt: skip
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="of a run: best (the default) or last")
    parser.add_argument("--no-evaluate", action="store_true", help="leave out the accuracies, which need the data set")
    add_data_file(parser)
    add_data_dir(parser)
    add_backend(parser)
    parser.add_argument("--json", action="store_true", help="print the receipt as one JSON object on one line")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no messages about the data")


def export(args: argparse.Namespace) -> int:
    """Export a network and print the receipt; status 1 where the chip refuses something."""
    from ..runs.export import Settings, export_run

    raise_again()
    settings = Settings(
        args.format, args.target, args.bits, args.max_delay, args.delays, args.encoding, args.checkpoint,
        evaluated=not args.no_evaluate,
    )  # fmt: skip
    receipt = export_run(
        args.what, expanded(args.out, "--out"), settings, data=own_data(args), backend=args.backend,
        data_dir=None if args.data_dir is None else str(expanded(args.data_dir).absolute()), threads=args.threads,
        progress=not args.quiet,
    )  # fmt: skip
    print(receipt.json() if args.json else receipt)
    return 1 if receipt.refused else 0
