"""The options of ``genn-delays analyse``, and its function."""

from __future__ import annotations

import argparse
import json

from ..interrupts import raise_again
from ..paths import expanded
from ..streams import say
from .options import add_backend, add_data_dir
from .values import own_data, whole

ANALYSE = """\
Analyse a run's checkpoint beside the network as it was before training: the
spatio-temporal receptive fields of its outputs, the highest Moran's I of each over
permutations of the inputs and a Mann-Whitney test between both; delays, weights and
ages of synapses by sign, fan-in and fan-out; rewiring; spikes; accuracy by class,
or the test loss where targets are real numbers.

Numbers are written as analysis.json and receptive_fields.npz, pictures as PNG and
PDF, into RUN/analysis.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("--checkpoint", default="best", metavar="NAME", help="best (the default) or last")
    parser.add_argument(
        "--population", metavar="NAME", help="whose receptive fields are analysed (default: the output)"
    )
    parser.add_argument(
        "--units", type=whole, default=6, metavar="N",
        help="receptive fields that are drawn, those of the highest Moran's I (default 6)",
    )  # fmt: skip
    parser.add_argument(
        "--permutations", type=whole, default=2000, metavar="N", help="of the inputs, for each field (default 2000)"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="seed of the permutations (default 0)")
    parser.add_argument(
        "--truncate", type=whole, metavar="STEPS", help="largest delay of a field, for networks with cycles"
    )
    add_data_dir(parser)
    parser.add_argument("--data", metavar="FILE", help="other data in place of the run's, as in evaluate")
    add_backend(parser)
    parser.add_argument("--out", metavar="DIR", help="folder to write to (default: RUN/analysis)")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    parser.add_argument("--quiet", action="store_true", help="no messages about the data")


def analyse(args: argparse.Namespace) -> int:
    """Analyse a run, and print a table or all figures."""
    from ..runs.analyse import Settings
    from ..runs.analyse import analyse as analyse_run
    from ..runs.analysis_figures import summary
    from ..runs.folder import RunFolder

    raise_again()
    settings = Settings(args.checkpoint, args.population, args.units, args.permutations, args.seed, args.truncate)
    folder = RunFolder(args.run)
    place = folder.path / "analysis" if args.out is None else expanded(args.out, "--out")
    data_dir = None if args.data_dir is None else str(expanded(args.data_dir).absolute())
    found = analyse_run(
        folder, settings, out=place, data_dir=data_dir, data=own_data(args), backend=args.backend, threads=args.threads,
        progress=not args.quiet, note=lambda text: say(f"genn-delays: {text}"),
    )  # fmt: skip
    print(json.dumps(found.tables()) if args.json else summary(found, place))
    return 0
