"""What churn means in a contract, line by line: the warehouse's `definition`, and the words of a page."""

from churnlake.contract.schema import Contract


def definition_rows(contract: Contract) -> list[dict[str, object]]:
    """Rows of the warehouse table `definition`, in reading order."""
    churn, unit = contract.churn, contract.unit
    first, last = churn.gap_days + 1, churn.gap_days + churn.horizon_days
    bands = ", ".join(f"{name} to {share * 100:g}%" for name, share in contract.decision.bands.items())
    lines = (
        ("unit", unit, f"One score is about one {unit}."),
        (
            "definition",
            churn.definition,
            f"A {unit} has churned when no activity falls into days {first} to {last} after the business date.",
        ),
        ("activity", churn.activity, "What counts as activity, over the canonical columns of the contract."),
        (
            "eligible",
            f"{churn.active_within_days} days",
            f"Scored is every {unit} with activity in the {churn.active_within_days} days up to the business date.",
        ),
        (
            "minimum tenure",
            f"{churn.min_tenure_days} days",
            f"Days a {unit} must have been active before it is scored.",
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
