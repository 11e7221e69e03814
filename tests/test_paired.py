import pytest

from helpers.paired import difference


def test_the_interval_of_a_difference_is_students():
    """Student's own data, hours of extra sleep under two drugs (Biometrika 1908); R's t.test agrees."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = difference(first, second)
    assert found == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=1e-3)
    assert found.beyond_chance
    assert not difference(first, first[::-1]).beyond_chance


@pytest.mark.parametrize(
    ("pairs", "t"), [(2, 12.706), (4, 3.1824), (8, 2.3646), (12, 2.2010), (31, 2.0423), (2000, 1.9612)]
)
def test_few_pairs_leave_more_open(pairs: int, t: float):
    values = [place % 2 for place in range(pairs)]
    mean, low, _ = difference(values, [0] * pairs)
    spread = (sum((value - mean) ** 2 for value in values) / (pairs - 1) / pairs) ** 0.5
    assert (mean - low) / spread == pytest.approx(t, rel=1e-3)


@pytest.mark.parametrize(("first", "second"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_one_pair_or_a_side_too_long_is_refused(first: list[float], second: list[float]):
    with pytest.raises(ValueError):
        difference(first, second)
