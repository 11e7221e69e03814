from helpers import timing


def test_measures_in_turn_and_the_turn_moves():
    calls: list[str] = []
    found = timing.in_turn(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=4, warmup=1
    )
    assert calls == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 4, "b": 4}


def test_the_warm_up_does_not_count():
    clock = {"now": 0.0}
    costs = iter([100.0, 1.0, 2.0, 3.0])

    def work() -> None:
        clock["now"] += next(costs)

    found = timing.in_turn({"a": work}, rounds=3, warmup=1, clock=lambda: clock["now"])
    assert found == {"a": [1.0, 2.0, 3.0]}


def test_times_and_ratios_are_read_with_their_spread():
    assert str(timing.Timing.of([0.001, 0.002, 0.003])) == "2.00 ms (1.50 to 2.50)"
    assert str(timing.ratio([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])) == "1.00 (0.75 to 1.25)"


def test_one_round_has_no_spread_and_says_so():
    one = timing.Timing.of([0.002])
    assert (one.low, one.median, one.high, one.rounds) == (0.002, 0.002, 0.002, 1)
    assert (str(one), str(timing.ratio([3.0], [2.0]))) == ("2.00 ms (one round)", "1.50 (one round)")
