"""Two sets of figures compared, such as Moran's I of trained and of untrained networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError


@dataclass(frozen=True)
class Comparison:
    """The two-sided Mann-Whitney U test of two samples.

    Attributes:
        u: U of the first sample: in how many pairs its value is the larger one, equal values counting a half.
        p: chance of a U as far from its mean, or farther, if both samples were of one distribution.
        sizes, medians: of the first and the second sample.
        effect: share of the pairs in which the first sample's value is the larger one, ``u / (n1 n2)``, the
            common-language effect size (McGraw & Wong 1992): 0.5 where the samples do not differ.
    """

    u: float
    p: float
    sizes: tuple[int, int]
    medians: tuple[float, float]
    effect: float


def mann_whitney(first: npt.ArrayLike, second: npt.ArrayLike) -> Comparison:
    """Compare two samples of numbers by ranks (Mann & Whitney 1947), as SciPy's ``mannwhitneyu`` does.

    p is that of the normal approximation, with corrections for ties and continuity: exact p ignore ties.

    Raises:
        InvalidValueError: a sample has fewer than two values, or one that is not finite.
    """
    from scipy.stats import mannwhitneyu

    samples = []
    for name, given in (("first", first), ("second", second)):
        values = np.asarray(given, np.float64).reshape(-1)
        if values.size < 2:
            raise InvalidValueError(
                f"a comparison needs at least two values of either sample, and the {name} has {values.size}"
            )
        if not np.isfinite(values).all():
            raise InvalidValueError(f"the {name} sample has values that are not finite; allowed are finite numbers")
        samples.append(values)
    a, b = samples
    if (np.concatenate(samples) == a[0]).all():  # SciPy divides by the variance of the ranks, which is 0
        u, p = a.size * b.size / 2, 1.0
    else:
        found = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
        u, p = float(found.statistic), float(found.pvalue)
    medians = float(np.median(a)), float(np.median(b))
    return Comparison(u, p, (a.size, b.size), medians, u / (a.size * b.size))
