"""Floating point errors in this library's own arithmetic are handled by NumPy's defaults.

The softmax of a very small variable is 0 and not an error, whatever a program has set with ``numpy.seterr``.
"""

from __future__ import annotations

import numpy as np


def usual_errors() -> np.errstate:
    """NumPy's defaults, for a ``with`` block."""
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
