"""Messages for unknown options, with the option that was probably meant."""

from __future__ import annotations

import argparse
from difflib import get_close_matches

from ..errors import InvalidValueError

_MEANT = {
    "--batch": "--batch-size", "--checkpoint-dir": "--out", "--cpus": "--threads", "--cuda": "--backend",
    "--data-path": "--data-dir", "--dataset": "--data", "--device": "--backend", "--gpu": "--backend",
    "--jobs": "--threads", "--layers": "--hidden", "--logdir": "--out", "--num-epochs": "--epochs",
    "--num-hidden": "--hidden", "--num-threads": "--threads", "--num-workers": "--threads", "--output": "--out",
    "--output-dir": "--out", "--save-dir": "--out", "--workers": "--threads",
}  # fmt: skip
"""Options of other programs that train, and ours."""
_IN_THE_MODEL = {
    **dict.fromkeys(("--lr", "--learning-rate", "--alpha"), "alpha of optimiser in [training]"),
    **dict.fromkeys(("--optimiser", "--optimizer", "--weight-decay", "--schedule"), "optimiser in [training]"),
    **dict.fromkeys(("--loss", "--losses"), "losses in [compiler]"),
    **dict.fromkeys(("--dt", "--surrogate", "--clip-norm", "--max-spikes"), "a key of [compiler]"),
    **dict.fromkeys(("--l1", "--temperature", "--fraction", "--interval"), "a key of [rewiring]"),
    **dict.fromkeys(("--tau-mem", "--v-thresh", "--dropout", "--batch-norm", "--readout"), "a key of [[populations]]"),
}
"""Settings without an option, and their place in a model file."""


def unknown_option(command: str, given: str, parser: argparse.ArgumentParser) -> InvalidValueError:
    """The error for an option that a command does not have, with the option that was probably meant."""
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
