import pytest

from genn_delays.analysis import rewiring_over_time
from genn_delays.errors import InvalidValueError


def test_established_and_newborn_by_connection():
    lines = [
        {"epoch": 1, "rewirings": 9, "rewirings_a_b": 7, "rewirings_b_c": 2, "newborn_rewirings_a_b": 4},
        {"epoch": 2, "rewirings": 3, "rewirings_a_b": 3, "rewirings_b_c": 0, "newborn_rewirings_b_c": 0},
    ]
    found = rewiring_over_time(lines)
    assert found.epochs.tolist() == [1, 2]
    assert {name: n.tolist() for name, n in found.established.items()} == {"a_b": [3, 3], "b_c": [2, 0]}
    assert {name: n.tolist() for name, n in found.newborn.items()} == {"a_b": [4, 0], "b_c": [0, 0]}


def test_nothing_is_rewired():
    found = rewiring_over_time([{"epoch": 1, "rewirings": 0, "newborn_rewirings": 0}])
    assert (found.established, found.newborn) == ({}, {})


@pytest.mark.parametrize("lines", [[], [{"train_loss": 1.0}]])
def test_no_lines(lines):
    with pytest.raises(InvalidValueError, match="needs a line of metrics for every epoch"):
        rewiring_over_time(lines)
