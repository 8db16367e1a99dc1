"""The command ``report`` and its options."""

from __future__ import annotations

import argparse
import sys

from ..interrupts import raise_again
from ..streams import say
from .options import add_backend, add_data_dir
from .values import whole

REPORT = """\
Write one HTML page about one run or several side by side: results, learning curves,
receptive fields, a test example's spikes, confusion of classes, synapses, every
setting and the versions it ran on. The page needs no network and no other file.

  genn-delays report runs/digits-001
  genn-delays report runs/fsdd-001 runs/fsdd-002 --out both.html

What needs the data set is computed with the best checkpoint; where the data set is not
at hand the page says what it leaves out.
"""


def add_report(parser: argparse.ArgumentParser) -> None:
    """The options of ``report``."""
    parser.add_argument("run", metavar="RUN", nargs="+", help="the runs' folders")
    parser.add_argument("--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    add_data_dir(parser)
    parser.add_argument(
        "--example", type=whole, metavar="N", default=0, help="the test example that is shown (default 0, the first)"
    )
    add_backend(parser)
    parser.add_argument("--quiet", action="store_true", help="no messages about the data and what is left out")


def report(args: argparse.Namespace) -> int:
    """Write a report and print its path."""
    from ..reports import write_report

    raise_again()

    def note(text: str) -> None:
        if not args.quiet:
            say(f"genn-delays: {' '.join(text.split())}")

    path = write_report(
        args.run, args.out, data_dir=args.data_dir, backend=args.backend, threads=args.threads, example=args.example,
        quiet=args.quiet, note=note,
    )  # fmt: skip
    sys.stdout.write(f"{path}\n")
    return 0
