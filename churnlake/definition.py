"""What churn means in a contract, line by line: the warehouse's `definition`, and the words of a page."""

from churnlake.contract.schema import Contract


def definition_rows(contract: Contract) -> list[dict[str, object]]:
    """Rows of the warehouse table `definition`, in reading order."""
    churn, unit = contract.churn, contract.unit
    bands = ", ".join(f"{name} to {share * 100:g}%" for name, share in contract.decision.bands.items())
    lines = (
        ("unit", unit, f"One score is about one {unit}."),
        (
            "definition",
            churn.definition,
            _in_words(contract),
        ),
        ("activity", churn.activity, "What counts as activity, over the canonical columns of the contract."),
        _eligible(contract),
        (
            "minimum tenure",
            f"{churn.min_tenure_days} days",
            f"Days since the first activity or the start of the subscription before a {unit} is scored.",
        ),
        ("gap", f"{churn.gap_days} days", "Days between the business date and the label window: the time to act."),
        ("horizon", f"{churn.horizon_days} days", "Length of the label window the probability is about."),
        (
            "maturity",
            f"{churn.maturity_days} days",
            "Days until the outcome of a score is known: gap, horizon, grace and settling.",
        ),
        (
            "risk bands",
            bands,
            "Cumulative shares of the list ranked by probability, most at risk first; the rest is low.",
        ),
        ("time zone", contract.timezone, "A business date is a calendar day in this zone."),
        ("currency", contract.currency, "Currency of all amounts."),
        (
            "contract",
            f"version {contract.version}, digest {contract.digest[:12]}",
            "The contract these lines come from.",
        ),
    )
    return [
        {"contract": contract.name, "position": position, "topic": topic, "value": value, "explanation": explanation}
        for position, (topic, value, explanation) in enumerate(lines, start=1)
    ]


def _in_words(contract: Contract) -> str:
    churn, unit, days = contract.churn, contract.unit, _label_days(contract)
    match churn.definition:
        case "inactivity":
            return f"A {unit} has churned when no activity falls into {days}."
        case "cancellation":
            grace = f" and does not resume within {churn.grace_days} days" if churn.grace_days else ""
            return f"A {unit} has churned when its subscription ends on {days}{grace}."
        case "expiry":
            grace = f", or within {churn.grace_days} days after" if churn.grace_days else ""
            return f"A {unit} whose paid time ends on {days} has churned when it does not renew by then{grace}."
        case "label":
            return f"A {unit} has churned when the data set says so."


def _label_days(contract: Contract) -> str:
    churn = contract.churn
    return f"days {churn.gap_days + 1} to {churn.gap_days + churn.horizon_days} after the business date"


def _eligible(contract: Contract) -> tuple[str, str, str]:
    churn, unit = contract.churn, contract.unit
    match churn.definition:
        case "inactivity":
            days = f"{churn.active_within_days} days"
            return "eligible", days, f"Scored is every {unit} with activity in the {days} up to the business date."
        case "cancellation":
            told = f"Scored is every {unit} subscribed at the end of the business date, without an end known yet."
            return "eligible", "subscribed", told
        case "expiry":
            told = f"Scored is every {unit} whose paid time ends on {_label_days(contract)}, as far as known then."
            return "eligible", "expiring", told
        case "label":
            who = "that is known" if contract.has_undated_outcomes else "that has an outcome as of the business date"
            return "eligible", "labelled", f"Scored is every {unit} {who}."
