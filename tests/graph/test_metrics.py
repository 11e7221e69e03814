import numpy as np
import pytest

from helpers.graph.metrics import agreement, best, nsr, sqnr_db

LOGITS = np.array([0.0, 5.0, 4.0, 3.0, 1.0], np.float32)


def test_a_run_agrees_with_itself():
    said = "3 of 3 classes shared, 3 of 3 pairs in the same order, scores 0.00 apart on average"
    assert agreement(best(LOGITS, 3), LOGITS) == said


def test_an_exchange_and_a_stranger_are_counted():
    said = "2 of 3 classes shared, 2 of 3 pairs in the same order, scores 1.33 apart on average"
    assert agreement([(2, 4.5), (1, 4.5), (4, 4.0)], LOGITS) == said


def test_best_are_in_falling_order():
    assert best(LOGITS, 2) == [(1, 5.0), (2, 4.0)]


def test_noise_is_the_squared_error_in_units_of_the_variance():
    exact, found = np.array([[0, 4]], np.float32), np.array([[1, 3]], np.float32)
    assert nsr(found, exact) == 1 / 4
    assert sqnr_db(0.01) == pytest.approx(20) and sqnr_db(0) == np.inf
