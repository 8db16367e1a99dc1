"""Options that several commands on a run have."""

from __future__ import annotations

import argparse

from .values import whole


def add_data_file(parser: argparse._ActionsContainer) -> None:
    """``--data``."""
    parser.add_argument(
        "--data", metavar="FILE",
        help="in place of the model's data set: an .npz file or a folder of WAV files by class (a path with a / in "
        "it), or a data set's name",
    )  # fmt: skip


def add_data_dir(parser: argparse._ActionsContainer) -> None:
    """``--data-dir``, of a run that was trained."""
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data set's files are, if not where training had them"
    )


def add_backend(parser: argparse._ActionsContainer) -> None:
    """``--backend`` and ``--threads``, of a run that has both."""
    parser.add_argument("--backend", metavar="NAME", help="cpu, cuda, genn or reference, if not the run's")
    parser.add_argument("--threads", type=whole, metavar="N", help="threads of the cpu backend, if not the run's")
