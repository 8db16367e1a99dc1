"""Bodies computed before and after an optimiser's own step, the same for all optimisers.

Backend ``reference`` computes them with NumPy, and every target's kernels have them printed around the optimiser's:

1. :data:`BEFORE`: the gradient is scaled, and L1 and weight decay are added to it.
2. The optimiser's body gives the value `new`.
3. :data:`DRIFT`: L1 that is kept out of the gradient.
4. :data:`NOISE`: the temperature noise of DEEP R, where there is any.
5. :data:`KEEP_SIGN`: where a rewiring rule keeps signs.

Delays have no penalties and no signs; after their optimiser's body comes :data:`DELAY`.
"""

from __future__ import annotations

from ..bodies import Type, read
from ..bodies.functions import LIBRARY

REAL, DOUBLE, U32, INT = Type.REAL, Type.DOUBLE, Type.U32, Type.INT

BEFORE = read(
    "before a step",
    """
    sign = copysign(1, w)
    g = real(scale) * g + real(l1) * sign + real(weight_decay) * w
    """,
    {"w": REAL, "g": REAL, "scale": DOUBLE, "l1": DOUBLE, "weight_decay": DOUBLE},
    ("g", "sign"),
)
"""``g = scale dL/dw + l1 sign(w) + weight_decay w``; `scale` clips gradients. A weight of 0 has its sign too."""

DRIFT = read(
    "drift",
    """
    length = real(alpha) * real(drift)
    new = new - length * sign if length > 0 else new
    """,
    {"new": REAL, "sign": REAL, "alpha": DOUBLE, "drift": DOUBLE},
    ("new",),
)
"""L1 apart from the optimiser: ``new = new - alpha drift sign(w)``, as AdamW does decay."""

NOISE = read(
    "noise",
    "new = new + sign * real(noise * normal_quantile(word))",
    {"new": REAL, "sign": REAL, "noise": DOUBLE, "word": U32},
    ("new",),
    LIBRARY,
)
"""``theta = theta + sqrt(2 alpha T) N(0, 1)`` of DEEP R (Bellec et al. 2018), with ``theta = sign w``, a random
word and ``noise = sqrt(2 alpha T)``."""

KEEP_SIGN = read(
    "signs that are kept",
    "new = copysign(0, w) if new * sign <= 0 and new * 0 == 0 else new",
    {"new": REAL, "sign": REAL, "w": REAL},
    ("new",),
)
"""Signs never flip: ``theta = sign w`` is at least 0, and a weight of 0 keeps its sign until it is replaced. What is no
finite number stays, to be found: replaced by a new synapse, it would be gone without a word."""

DELAY = read(
    "delay",
    """
    position = max(new, real(min_delay))
    position = min(position, real(max_delay))
    steps = u32(rint(position))
    """,
    {"new": REAL, "min_delay": INT, "max_delay": INT},
    ("position", "steps"),
)
"""A real-valued delay stays in the range of its connection (time steps), and acts as the nearest whole one."""
