"""Why a customer was scored on a date or not: what a job told of it, and what was published of it, for people."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from churnlake.warehouse.duckdb import query
from flows.asking import ask_job
from flows.console import Terminal
from flows.shift import Shift

SCORE = """SELECT churn_probability, risk_rank, risk_band, reason_1_text, reason_2_text, reason_3_text,
model_version, run_id FROM churn_{contract}.scores_history WHERE customer_id = ? AND business_date = ?"""
_WHOLE_FROM = 10_000  # from here on four digits would be an exponent
REASONS = ("reason_1_text", "reason_2_text", "reason_3_text")


def explain(terminal: Terminal, shift: Shift, customer: str, business_date: date | None) -> None:
    """Asks for the facts of one customer and date, adds what was published of it, and shows both.

    Raises:
        UsageError: Nobody has that id, or the date lies outside of the data.
    """
    # Joined by =: an id that begins with a dash is no option of its own.
    options = [f"--customer={customer}", *([] if business_date is None else [f"--date={business_date}"])]
    terminal.working(f"looking at {customer} of {shift.contract.name}")
    told = ask_job("explain", shift.contract, tuple(options), shift.settings)
    terminal.still()
    score = published_score(shift, customer, date.fromisoformat(told["business_date"]))
    terminal.document(told | {"score": score, "exit_code": 0})
    show_explanation(terminal, told, score)


def published_score(shift: Shift, customer: str, day: date) -> dict[str, Any] | None:
    """What readers see of the customer on the date; None where nothing of it is published."""
    name = shift.contract.name
    if shift.publications.current(name, day) is None:
        return None
    # The name is a contract's: lowercase letters, digits and underscores only.
    answer = query(shift.settings.warehouse, SCORE.format(contract=name), (customer, day))
    return dict(zip(answer.columns, answer.rows[0], strict=True)) if answer.rows else None


def show_explanation(terminal: Terminal, told: Mapping[str, Any], score: Mapping[str, Any] | None) -> None:
    """Windows, verdict, label, score, facts and features, in the order in which people ask."""
    day = told["business_date"]
    terminal.say(f"{told['unit']} {told['customer']} of {told['contract']} on {day}, known since {told['known_since']}")
    terminal.say()
    verdict = "eligible" if told["eligible"] else f"excluded ({told['reason']})"
    terminal.say(f"{verdict}: {told['why_eligible']}")
    label = told["label"]
    known = f" (known on {label['known_on']})" if label["outcome"] and label["known_on"] else ""
    terminal.say(f"label: {label['outcome'] or 'none'}: {label['why']}{known}")
    for line in _score_lines(score, f"{told['customer']} on {day}"):
        terminal.say(line)
    terminal.say()
    terminal.table(("window", "days", "what for"), [(one["name"], _span(one), one["told"]) for one in told["windows"]])
    terminal.say()
    _show_facts(terminal, told)
    _show_features(terminal, told["features"])


def _score_lines(score: Mapping[str, Any] | None, of: str) -> list[str]:
    if score is None:
        return [f"score: none is published of {of}"]
    head = (
        f"score: {score['churn_probability']:.3f}, rank {score['risk_rank']:,}, band {score['risk_band']}, "
        f"model version {score['model_version']}"
    )
    return [head, *(f"  {number}. {score[name]}" for number, name in enumerate(REASONS, start=1) if score[name])]


def _span(window: Mapping[str, Any]) -> str:
    first, last = window["first"], window["last"]
    return "" if first is None else first if first == last else f"{first} .. {last}"


def _show_facts(terminal: Terminal, told: Mapping[str, Any]) -> None:
    for title, name in (("Facts (* decides)", "facts"), ("Happened, but was not yet known", "not_yet_known")):
        rows = [
            ("*" if one["decides"] else "", one["day"], one["source"], one["told"], one["standing"])
            for one in told[name]
        ]
        more = told[f"more_{name}"]
        if rows or name == "facts":
            terminal.table(("", "day", "source", "what", "standing"), rows, title=title)
        if more:
            terminal.say(f"... {more:,} more")
        if rows or more:
            terminal.say()


def _show_features(terminal: Terminal, features: Sequence[Mapping[str, Any]]) -> None:
    if not features:
        terminal.say("No features: only who is eligible has them.")
        return
    rows = [(one["feature"], _value(one["value"]), one["unit"], one["description"]) for one in features]
    terminal.table(("feature", "value", "unit", "what it is"), rows, title="Features")


def _value(value: float | str | None) -> str:
    """Four digits are enough for people; what is not known says so, which is not zero."""
    if value is None:
        return "not known"
    if isinstance(value, str):
        return value
    return f"{value:,.4g}" if abs(value) < _WHOLE_FROM else f"{value:,.0f}"
