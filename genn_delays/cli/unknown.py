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
    **dict.fromkeys(("--lr", "--learning-rate", "--alpha"), "training.optimiser.alpha"),
    **dict.fromkeys(("--optimiser", "--optimizer"), "training.optimiser"),
    "--weight-decay": "training.optimiser.weight_decay", "--schedule": "training.optimiser.schedule",
    "--l1": "training.optimiser.l1", "--dataset": "training.dataset",
    **dict.fromkeys(("--loss", "--losses"), "compiler.losses"), "--dt": "compiler.dt",
    "--surrogate": "compiler.surrogate", "--clip-norm": "compiler.clip_norm", "--max-spikes": "compiler.max_spikes",
    **{f"--{key}": f"rewiring.{key}" for key in ("temperature", "fraction", "interval")},
    "--tau-mem": "populations.*.tau_mem", "--v-thresh": "populations.*.v_thresh",
    "--dropout": "populations.NAME.dropout", "--batch-norm": "populations.NAME.batch_norm",
    "--readout": "populations.*.readout",
}  # fmt: skip
"""Settings without an option, and their keys for ``--set``."""
_IN_THE_SIMULATION = {
    **{f"--{key.replace('_', '-')}": f"simulation.{key}" for key in ("dt", "transient", "record", "rates")},
    "--rng-seed": "simulation.rng_seed", "--g": "connections.*.weight", "--rate": "populations.*.drives.rate",
}  # fmt: skip
"""The same of simulations."""


def unknown_option(command: str, given: str, parser: argparse.ArgumentParser) -> InvalidValueError:
    """The error for an option that a command does not have, with the option that was probably meant."""
    known = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    asked = given.lower().replace("_", "-")
    if _MEANT.get(asked) in known:
        hint = f" Did you mean {_MEANT[asked]!r}?"
    elif command == "train" and asked in _IN_THE_MODEL:
        hint = f" It is a key of the model: --set {_IN_THE_MODEL[asked]}=VALUE."
    elif command == "simulate" and asked in _IN_THE_SIMULATION:
        hint = f" It is a key of the model: --set {_IN_THE_SIMULATION[asked]}=VALUE."
    else:  # compared without the dashes, which all have
        near = get_close_matches(given.strip("-"), [name[2:] for name in known - {"--help"}], n=1, cutoff=0.7)
        hint = f" Did you mean '--{near[0]}'?" if near else ""
    return InvalidValueError(f"unknown option of {command} {given!r}; known: {', '.join(sorted(known))}.{hint}")
