"""Whether there is enough to learn from, and what to do where there is not."""

from churnlake.sufficiency import Outcomes, in_words

MONTH = Outcomes(horizon_days=30, cutoffs=4, spacing_days=15, churned=31, stayed=800)
QUARTER = Outcomes(horizon_days=90, cutoffs=2, spacing_days=30, churned=140, stayed=600)


def test_enough_of_both_outcomes_is_enough() -> None:
    """The number needed itself is enough."""
    told = in_words([Outcomes(30, 4, 15, 100, 3_977)], own=30, needed=100)
    assert told == "100 churned and 3,977 stayed (>= 100): enough"


def test_too_few_churned_names_each_way_out() -> None:
    """31 over 4 cutoffs need 9 more of them, half a month apart; a longer horizon has enough today."""
    assert in_words([MONTH, QUARTER], own=30, needed=100) == (
        "31 churned, 100 needed (with a horizon of 90 days 140): about 5 more months of data, or horizon_days = 90, "
        "or [training] minimum_outcomes = 31 and a weaker model"
    )


def test_too_few_stayed_is_told_as_such() -> None:
    """Where nearly all leave, those who stay are the rarer ones."""
    assert in_words([Outcomes(30, 4, 15, 800, 99)], own=30, needed=100).startswith(
        "99 stayed, 100 needed: about 1 more month"
    )


def test_nobody_at_all_promises_no_date() -> None:
    """From none no pace can be told, and a rule that is too strict is the likeliest reason."""
    told = in_words([Outcomes(30, 4, 15, 0, 800)], own=30, needed=100)
    assert told == (
        "0 churned, 100 needed: a shorter gap or a wider definition of who is scored, "
        "or [training] minimum_outcomes = 20 and a weaker model"
    )
