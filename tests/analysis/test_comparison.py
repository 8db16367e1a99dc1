import numpy as np
import pytest

from genn_delays.analysis import mann_whitney
from genn_delays.errors import InvalidValueError


def test_u_counts_pairs_and_ties_a_half():
    found = mann_whitney([3.0, 5.0, 2.0], [1.0, 2.0])
    assert found.u == 5.5  # of six pairs the first sample is larger in five, and equal in one
    assert found.effect == 5.5 / 6
    assert found.sizes == (3, 2)
    assert found.medians == (3.0, 1.5)
    assert 0 < found.p < 1
    swapped = mann_whitney([1.0, 2.0], [3.0, 5.0, 2.0])
    assert (swapped.u, swapped.p) == (0.5, found.p)


def test_the_papers_u_of_60_against_60_has_the_papers_p():
    """Its p of 3.88e-21 for U = 3598: in two of 3600 pairs the untrained one is ahead. Ties lower p a bit."""
    untrained = np.arange(60.0)
    trained = untrained + 100
    untrained[59] = 101.5
    found = mann_whitney(trained, untrained)
    assert found.u == 3598
    assert found.p == pytest.approx(3.88e-21, rel=0.02)


def test_equal_samples_differ_in_nothing():
    found = mann_whitney([1.0, 1.0], [1.0, 1.0, 1.0])
    assert (found.u, found.p, found.effect) == (3.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0], [1.0, 2.0], "at least two values of either sample, and the first has 1"),
        ([1.0, 2.0], [], "the second has 0"),
        ([1.0, np.nan], [1.0, 2.0], "the first sample has values that are not finite"),
    ],
)
def test_too_few_values(first, second, message):
    with pytest.raises(InvalidValueError, match=message):
        mann_whitney(first, second)
