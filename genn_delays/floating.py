"""What this library's own arithmetic does where a number is too small, too large or none: as NumPy does by default.

The softmax of a far away variable is 0 and not an error, whatever a program that uses the library has asked NumPy for.
"""

from __future__ import annotations

import numpy as np


def usual_errors() -> np.errstate:
    """NumPy's defaults, for a ``with`` block."""
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
