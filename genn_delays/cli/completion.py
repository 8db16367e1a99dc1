"""The command ``completion``: a script by which a shell completes commands, options, models and files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from ..errors import BackendUnavailableError, InvalidValueError, install_extra

SHELLS = ("bash", "zsh", "fish")
COMPLETION = """\
Print a script by which a shell completes commands, options, names of models and
files. It is made by shtab (extra `completion`), and is to be made again after an
update.

  genn-delays completion bash > ~/.local/share/bash-completion/completions/genn-delays
  genn-delays completion zsh > ~/.zfunc/_genn-delays      # a folder in $fpath
  genn-delays completion fish > ~/.config/fish/completions/genn-delays.fish
"""
_FILES = ("FILE", "SPEC")
_FOLDERS = ("DIR", "RUN", "MODEL|RUN")


def add_completion(parser: argparse.ArgumentParser, whole: Callable[[], argparse.ArgumentParser]) -> None:
    """The argument of ``completion``.

    Args:
        whole: makes the parser of the whole command line.
    """
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    parser.set_defaults(whole=whole)


def completion(args: argparse.Namespace) -> int:
    """Print the script of a shell."""
    sys.stdout.write(script(args.whole(), args.shell))
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of a shell.

    Raises:
        BackendUnavailableError: shtab is not installed.
        InvalidValueError: the installed shtab does not know the shell.
    """
    try:
        import shtab
    except ImportError as error:
        raise BackendUnavailableError(f"completion needs shtab: {install_extra('completion')}") from error
    if shell not in shtab.SUPPORTED_SHELLS:
        known = ", ".join(name for name in SHELLS if name in shtab.SUPPORTED_SHELLS)
        raise InvalidValueError(f"completion of {shell!r}: this version of shtab has {known}; install a later one")
    from ..runs.models import model_names

    for action in _actions(parser):
        name = action.metavar
        if name == "MODEL":  # names alone are proposed, a path may be typed
            action.choices = model_names()
        elif name in _FILES or name in _FOLDERS:
            action.complete = shtab.FILE if name in _FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
    found: str = shtab.complete(parser, shell=shell)
    return found.rstrip("\n") + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
