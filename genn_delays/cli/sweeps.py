"""The options of ``sweep``, and ``--set`` of ``train``."""

from __future__ import annotations

import argparse

from .values import whole

SWEEP = """\
Train all runs of a sweep: SPEC is a TOML file with a model, lists of settings and
seeds. Independent runs fill the processors of this machine, or those of a Dask
cluster, and every run gives the bits that `genn-delays train` gives.

  [sweep]
  model = "fsdd_paper"
  seeds = [0, 1, 2]

  [set]                                # of all runs
  validation = 0.0

  [grid]                               # every combination is a run
  sparsity = [0.5, 0.75, 0.875]
  training.optimiser.l1 = [0.0, 0.01]

Settings are the options of train by their names (batch_size for --batch-size) and
any key of a model file, as in `train --set`. Tables [[series]] have a name and a
model, seeds, set and grid of their own; docs/command_line.md of the source says
all. Results are lines of results.jsonl and results.csv in --out, one a run.

The same command goes on where a sweep stopped: finished runs are kept, interrupted
ones resumed, failed ones tried again. The status is 1 if a run failed.
"""

_SET = """\
any key of the model file by its dotted path, may be repeated: training.optimiser.l1=0.001,
populations.hidden.size=128, connections.*.delay_kernel=none (* for all that have the key); a connection is called
source_target where the model gives no name. Values are TOML, or a word
"""


def add_set(group: argparse._ArgumentGroup) -> None:
    """The option ``--set``."""
    group.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=" ".join(_SET.split()))


def sweep_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``sweep``."""
    parser.add_argument("spec", metavar="SPEC", help="the path of a TOML file")
    parser.add_argument("--out", metavar="DIR", help="folder of the runs and results (default: sweeps/NAME)")
    parser.add_argument(
        "--processes", type=whole, metavar="N", help="runs at a time (default: processors / threads a run; 1 on a GPU)"
    )
    parser.add_argument(
        "--threads", type=whole, metavar="N", help="threads a run (default: 1, or as the sweep's settings say)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="run on the workers of a Dask scheduler, tcp://HOST:PORT, which share the folder --out",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on one line")
    parser.add_argument("--quiet", action="store_true", help="no progress")
