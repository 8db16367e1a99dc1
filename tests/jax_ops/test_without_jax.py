"""Where JAX is missing, one sentence says what to install, and everything else works."""

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["jax"] = None
import genn_delays, genn_delays.ops
try:
    import genn_delays.jax
except ImportError as error:
    assert isinstance(error, genn_delays.GennDelaysError)
    print(error)
"""


def test_the_error_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("genn_delays.jax needs JAX: pip install 'genn-delays[jax]'")
