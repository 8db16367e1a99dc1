"""Ctrl-C at any moment after Python has begun with our first line: one line, status 130."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


def heed() -> None:  # a shell that starts this in the background lets its children ignore the signal
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    "module",
    [
        "genn_delays.interrupts", "argparse", "genn_delays.cli", "numpy.version", "numpy._core.multiarray", "numpy",
        "genn_delays.network", "genn_delays.runs.config", "genn_delays.runs.train",
    ],
)  # fmt: skip
def test_an_interruption_while_modules_are_imported(tmp_path, module):
    command = [sys.executable, "-X", "importtime", "-m", "genn_delays", "train", "digits", "--out", str(tmp_path / "r")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:  # a line whenever a module has been imported
                if line.rsplit("|", 1)[-1].strip() == module:
                    process.send_signal(signal.SIGINT)
                    break
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert out == "" and len(said) == 1 and said[0].startswith("genn-delays: interrupted"), err


def test_whoever_ignores_interruptions_goes_on_ignoring_them():
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from genn_delays.__main__ import main\nsys.argv = ['genn-delays', 'info']\n"
        "assert main() == 0\nassert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\nos.kill(os.getpid(), 2)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_library_leaves_the_handler_and_imports_nothing_else():
    code = (
        "import signal, sys\nbefore, handler = set(sys.modules), signal.getsignal(signal.SIGINT)\nimport genn_delays\n"
        "assert {m.split('.')[0] for m in set(sys.modules) - before} == {'genn_delays'}\n"
        "names = {}\nexec('from genn_delays import *', names)\n"
        "assert set(genn_delays.__all__) <= set(names) and set(genn_delays.__all__) <= set(dir(genn_delays))\n"
        "assert genn_delays.Adam is names['Adam'] and genn_delays.network.Network is names['Network']\n"
        "assert signal.getsignal(signal.SIGINT) is handler\n"
        "try:\n    genn_delays.Adma\nexcept AttributeError as error:\n    assert \"'Adma'\" in str(error)\n"
        "else:\n    sys.exit('found Adma')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
