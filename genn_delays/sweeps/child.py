"""The process of one run: the command line, which ends when the process that started it does.

``python -m genn_delays.sweeps.child train ...``: standard input is a pipe whose other end the parent holds. When the
parent is gone, however it ended, the pipe is closed, and so is this process. A run that is killed at any moment leaves
whole files; without this it would go on unseen, and hold its folder's lock.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

ABANDONED = 143
"""The exit status where the parent is gone."""


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1024):
        pass
    os._exit(ABANDONED)


def main() -> None:
    """Watch the parent, and run the command line with this process's arguments."""
    watched = os.dup(0)  # a copy: standard input is the command line's
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()
    runpy.run_module("genn_delays", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.argv[0] = "genn-delays"
    main()
