"""Where PyTorch is missing, one sentence says what to install, and everything else works."""

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["torch"] = None
import genn_delays, genn_delays.ops
try:
    import genn_delays.torch
except ImportError as error:
    assert isinstance(error, genn_delays.GennDelaysError)
    print(error)
"""


def test_the_error_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("genn_delays.torch needs PyTorch: pip install 'genn-delays[torch]'")
