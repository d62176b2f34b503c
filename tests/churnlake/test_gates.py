"""The gates over made nights: what they take for usual, what they warn about, what stops a night."""

import math
import random
from dataclasses import replace
from datetime import date, timedelta

import pytest

from churnlake.gates import FAMILIES, KINDS, LEARNING, Judged, Night, Rules, judge, judge_in_order, summed_up, verdicts
from churnlake.gates.numbers import bin_edges, level_name, median_size, stability_index, with_derived
from churnlake.gates.outlook import look_out, student

START = date(2026, 1, 5)  # a Monday
USUAL = {
    "rows": 1000.0, "customers": 400.0, "staleness": 2.0, "own_day": 1.0, "null.item": 0.0, "known": 0.8,
    "repeated": 0.0, "set_aside": 0.0, "doubled": 0.01, "level.kind.sale": 0.9, "level.kind.refund": 0.1,
    "bin.price.7": 0.5, "bin.price.8": 0.3, "bin.price.9": 0.2,
}  # fmt: skip


def nights(count: int, **numbers: float) -> list[Night]:
    """Nights of a shop that sells twice as much on Mondays and never exactly the same."""
    generator = random.Random(3)  # noqa: S311 - made-up data
    made = []
    for offset in range(count):
        slot = START + timedelta(days=offset)
        busy = (2 if slot.weekday() == 0 else 1) * math.exp(generator.gauss(0, 0.1))
        made.append(Night(slot, {**USUAL, "rows": round(1000 * busy), "customers": round(400 * busy), **numbers}))
    return [one.night for one in judge_in_order(made, (), Rules("off"))]


def judged(*, days: int = 60, rules: Rules | None = None, without: str = "", **changed: float) -> Judged:
    """Tonight, a Friday after `days` nights, with these numbers changed."""
    history = nights(days)
    numbers = {name: value for name, value in USUAL.items() if not without or not name.startswith(without)}
    return judge(Night(START + timedelta(days=60), {**numbers, **changed}), history, rules or Rules())


def told(result: Judged) -> dict[str, str]:
    """What was not usual: level by number."""
    return {one.name: one.level.value for one in result.unusual}


def test_a_night_like_the_others_passes() -> None:
    """Every number is judged, none is found unusual, and each tells the range it was expected in."""
    result = judged()
    assert told(result) == {}
    words = {one.name: (one.observed, one.expected) for one in result.verdicts}
    assert {"rows", "null.item", "level.kind.refund", "median.price", "shift.price", "new.kind"} <= set(words)
    assert words["own_day"] == ("100.0 %", "at least 95.0 %; about 100.0 % for a friday, from 60 earlier slots")
    assert not any(name.startswith("bin.") for name in words)


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({"rows": 150.0}, "broken"),
        ({"rows": 7000.0}, "broken"),
        ({"customers": 60.0}, "broken"),
        ({"rows": 380.0}, "unusual"),
        ({"staleness": 8.0}, "unusual"),
        ({"staleness": 30.0}, "broken"),
        ({"own_day": 0.8}, "unusual"),
        ({"own_day": 0.1}, "broken"),
        ({"null.item": 0.1}, "unusual"),
        ({"null.item": 0.6}, "broken"),
        ({"set_aside": 0.1}, "unusual"),
        ({"set_aside": 0.7}, "broken"),
        ({"doubled": 0.2}, "unusual"),
        ({"doubled": 0.5}, "broken"),
        ({"repeated": 0.2}, "unusual"),
        ({"repeated": 1.0}, "broken"),
        ({"known": 0.5}, "unusual"),
        ({"known": 0.0}, "broken"),
    ],
)
def test_a_number_far_off_is_told_and_one_at_fault_stops(changed: dict[str, float], level: str) -> None:
    """Each kind of number warns beyond what its history and counting explain, and stops where it is a fault."""
    assert told(judged(**changed)) == dict.fromkeys(changed, level)


def test_a_difference_that_matters_to_nobody_is_no_alarm() -> None:
    """In a large shop half a point is beyond chance, and still nothing to wake anybody for."""
    assert told(judged(customers=400.0, **{"null.item": 0.005, "own_day": 0.99, "doubled": 0.015})) == {}


def test_weekdays_differ() -> None:
    """Twice the rows are usual on a Monday, and 20 times are not."""
    monday = START + timedelta(days=63)
    history = nights(63)
    assert told(judge(Night(monday, {**USUAL, "rows": 2000.0}), history, Rules())) == {}
    rows = next(one for one in judge(Night(monday, USUAL), history, Rules()).verdicts if one.name == "rows")
    assert "for a monday" in rows.expected
    assert told(judge(Night(monday, {**USUAL, "rows": 20_000.0}), history, Rules())) == {"rows": "broken"}


def test_growth_is_followed() -> None:
    """A shop that grows by 3 % a day is five times as large after two months, and never once unusual."""
    growing = [replace(one, numbers={**one.numbers, "rows": 1000 * 1.03**day}) for day, one in enumerate(nights(60))]
    assert [told(one) for one in judge_in_order(growing, (), Rules()) if one.unusual] == []


def test_prices_in_pence_stop_the_night() -> None:
    """A unit change by 100 moves every bin by four half decades: the median is 100 times as large."""
    result = judged(without="bin.", **{"bin.price.11": 0.5, "bin.price.12": 0.3, "bin.price.13": 0.2})
    assert told(result) == {"median.price": "broken", "shift.price": "unusual"}
    median = next(one for one in result.verdicts if one.name == "median.price")
    assert (median.observed, median.expected.split(";")[0]) == ("316", "1.58 to 6.32")


def test_values_never_seen_stop_the_night() -> None:
    """A column whose values are all replaced has none of its levels and only new ones."""
    result = judged(without="level.", **{"level.kind.S": 0.9, "level.kind.R": 0.1})
    assert told(result) == {"level.kind.refund": "unusual", "level.kind.sale": "broken", "new.kind": "broken"}


def test_fewer_slots_than_two_weeks_only_teach() -> None:
    """With 13 earlier slots nothing is judged, whatever comes; with 14 it is."""
    absurd = {**USUAL, "rows": 1.0}
    history = nights(LEARNING)
    after = Night(START + timedelta(days=LEARNING), absurd)
    assert judge(after, history[1:], Rules()) == Judged(judge(after, history[1:], Rules()).night, (), learning=13)
    assert told(judge(after, history, Rules())) == {"rows": "broken"}


def test_a_number_that_is_new_only_teaches() -> None:
    """A column that came into the contract last week has no history to be held against."""
    assert told(judged(**{"null.colour": 1.0})) == {}


def test_days_declared_unusual_are_no_history() -> None:
    """A strange week that was declared teaches nothing; undeclared it would have widened what is taken for usual."""
    history = nights(60)
    strange = [
        one if day < 50 else replace(one, numbers={**one.numbers, "null.item": 0.9}) for day, one in enumerate(history)
    ]
    tonight = Night(START + timedelta(days=60), {**USUAL, "null.item": 0.9})
    declared = Rules(unusual=frozenset(one.slot for one in strange[50:]))
    assert told(judge(tonight, strange, Rules())) == {}
    assert told(judge(tonight, strange, declared)) == {"null.item": "broken"}


def test_later_slots_say_nothing_about_an_earlier_one() -> None:
    """A late file is held against the slots before its own, never against those that came after."""
    history = nights(60)
    late = Night(START + timedelta(days=5), {**USUAL, "rows": 1.0})
    assert judge(late, history, Rules()).learning == 5


def test_sensitivity_moves_warnings_and_never_faults() -> None:
    """What `high` tells, `normal` may not, `low` still less; a fault is one at each; `off` judges nothing."""

    def levels(**changed: float) -> list[str]:
        found = [told(judged(rules=Rules(one), **changed)) for one in ("high", "normal", "low", "off")]
        return [next(iter(one.values()), "usual") for one in found]

    assert levels(**{"null.item": 0.035}) == ["unusual", "unusual", "usual", "usual"]
    assert levels(doubled=0.032) == ["unusual", "usual", "usual", "usual"]
    assert levels(rows=50.0) == ["broken", "broken", "broken", "usual"]


def test_more_numbers_make_each_less_ready_to_speak() -> None:
    """All numbers of all sources share one chance of a false alarm."""
    alone, among_many = (judged(rules=Rules(sources=count), customers=150.0) for count in (1, 1000))
    limits = [
        float(next(v for v in one.verdicts if v.name == "null.item").expected.split()[2]) for one in (alone, among_many)
    ]
    assert limits[0] < limits[1]


def test_a_small_shop_may_halve_by_chance() -> None:
    """Ten customers give a share a wide error: 12 points that are news in a large shop are none in a small one."""
    assert told(judged(customers=400.0, **{"null.item": 0.12})) == {"null.item": "unusual"}
    small = [replace(one, numbers={**one.numbers, "customers": 10.0, "rows": 25.0}) for one in nights(60)]
    tonight = Night(START + timedelta(days=60), {**USUAL, "customers": 10.0, "rows": 25.0, "null.item": 0.12})
    assert told(judge(tonight, small, Rules())) == {}


def test_p12_a_gate_that_fails_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """P12: a number that is no number, or an error inside a gate, counts as a fault, named by what went wrong."""
    assert told(judged(rows=math.nan))["rows"] == "failed"

    def fail(*_: object) -> float:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(verdicts, "look_out", fail)
    result = judged()
    assert {one.level.value for one in result.verdicts} == {"failed"}
    assert result.broken == result.verdicts
    assert "ZeroDivisionError('by zero')" in result.verdicts[0].observed
    monkeypatch.setattr(verdicts, "with_derived", fail)
    assert told(judged()) == {"gates": "failed"}


def test_history_is_summed_up_by_family() -> None:
    """Thousands of slots become one line for each family: how many were unusual, and the first three of them."""
    history = nights(60)
    history[40] = replace(history[40], numbers={**history[40].numbers, "rows": 1.0})
    lines = summed_up(judge_in_order(history, (), Rules()), FAMILIES)
    assert set(lines) == {kind.family for kind in KINDS.values()}
    passed, words = lines["volume"]
    assert not passed
    assert words.startswith("1 of 60 slots unusual: 2026-02-14 rows is 1 rows; expected ")
    assert lines["nulls"] == (True, "0 of 60 slots unusual")


def test_one_step_errors_are_what_the_rule_could_not_foretell() -> None:
    """A series that repeats each week is foretold exactly; the spread of one that does not is its own."""
    weekly = [math.log(100 + 50 * (day % 7 == 0)) for day in range(60)]
    outlook = look_out(weekly, [day % 7 for day in range(60)], 0)
    assert outlook.expected == pytest.approx(math.log(150))
    assert outlook.errors[-20:] == pytest.approx([0.0] * 20)
    assert student(0.975, 5) == pytest.approx(2.5706, abs=1e-4)
    assert look_out([1.0], [0], 0).reach(0.01) == 0.0


def test_bins_hold_sizes_by_half_decades() -> None:
    """Bin 7 begins at 1; values below 0 have bins of their own; the median is read off the bins by logarithm."""
    assert bin_edges(7) == pytest.approx((1, 10**0.5))
    assert bin_edges(-9) == pytest.approx((-(10**1.5), -10))
    assert bin_edges(0) == (0, 0)
    assert bin_edges(1)[0] == 0
    assert bin_edges(21)[1] == math.inf
    assert median_size({"7": 0.25, "-7": 0.25, "0": 0.5}) == pytest.approx(10**0.25)
    assert median_size({"0": 1.0}) is None


def test_the_stability_index_is_the_customary_one() -> None:
    """Equal shares have index 0; half of one bin gone to another has the textbook's value."""
    assert stability_index({"7": 0.5, "8": 0.5}, 1e9, [{"7": 0.5, "8": 0.5}]) == pytest.approx(0, abs=1e-6)
    assert stability_index({"7": 0.75, "8": 0.25}, 1e9, [{"7": 0.5, "8": 0.5}]) == pytest.approx(
        0.25 * math.log(3), abs=1e-6
    )


def test_levels_of_data_are_named_safely() -> None:
    """A value that is long, empty or unprintable is named by a digest; a column of too many values has no levels."""
    assert level_name("Country", "EIRE") == "level.Country.EIRE"
    assert {len(level_name("c", value)) for value in ("x" * 41, "", "a\x1bb")} == {len("level.c.#12345678")}
    many = {"rows": 60.0, **{level_name("item", str(place)): 1 / 60 for place in range(60)}}
    assert with_derived(many, []) == {"rows": 60.0}
