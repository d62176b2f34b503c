"""What the kwargs of an expectation may hold. Each check says what it wants when a value does not fit, else nothing."""

import math
import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any

Check = Callable[[Any], str | None]
# Great Expectations turns every bound into a double; whole numbers beyond this would be others there.
EXACT = 2**53
LARGEST_MEMBER = 2**63
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def anything(_: Any) -> str | None:
    """Fits whatever is given: what it holds is judged elsewhere."""
    return None


def text(value: Any) -> str | None:
    """Fits a text that is not empty."""
    return None if isinstance(value, str) and value else "a text"


def flag(value: Any) -> str | None:
    """Fits true and false."""
    return None if isinstance(value, bool) else "true or false"


def is_number(value: Any) -> bool:
    """A finite number that a double holds exactly, if it is whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= EXACT if isinstance(value, int) else math.isfinite(value)


def is_day(value: Any) -> bool:
    """A date as text. A time of day is none: Great Expectations would read it in the zone of the machine."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def number(value: Any) -> str | None:
    """Fits a number that a double holds."""
    return None if is_number(value) else f"a finite number, whole ones up to {EXACT:,}"


def number_or_day(value: Any) -> str | None:
    """Fits what a column of numbers or of dates can be compared with."""
    return None if is_number(value) or is_day(value) else f"a finite number up to {EXACT:,} or a day 'YYYY-MM-DD'"


def count(value: Any) -> str | None:
    """Fits a whole number that is not negative."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= EXACT
    return None if fits else f"a whole number from 0 to {EXACT:,}"


def share(value: Any) -> str | None:
    """Fits 0 to 1."""
    return None if is_number(value) and 0 <= value <= 1 else "a share from 0 to 1"


def share_above_zero(value: Any) -> str | None:
    """Fits what `mostly` may be: a share of none would always pass."""
    fits = is_number(value) and 0 < value <= 1
    return None if fits else "a share above 0 and up to 1"


def one_of(*allowed: str) -> Check:
    """Fits these words."""
    return lambda value: None if value in allowed else f"one of {', '.join(allowed)}"


def columns(value: Any) -> str | None:
    """Fits a list of names."""
    fits = isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value)
    return None if fits else "a list of at least two columns"


def value_set(value: Any) -> str | None:
    """Fits values that one column can be compared with."""
    wanted = "a list of at least one text or number, all of one sort"
    if not isinstance(value, list) or not value:
        return wanted
    return None if len({_sort(one) for one in value}) == 1 and _sort(value[0]) else wanted


def _sort(value: Any) -> str | None:
    match value:
        case bool():
            return "boolean"
        case str():
            return "text"
        case int() if -LARGEST_MEMBER <= value < LARGEST_MEMBER:
            return "number"
        case float() if math.isfinite(value):
            return "number"
    return None


def quantile_ranges(value: Any) -> str | None:
    """Fits a range for each quantile."""
    wanted = 'such as {"quantiles": [0.5], "value_ranges": [[1, 9]]}, one range of numbers or null for each quantile'
    if not isinstance(value, dict) or set(value) != {"quantiles", "value_ranges"}:
        return wanted
    quantiles, ranges = value["quantiles"], value["value_ranges"]
    if not isinstance(quantiles, list) or not isinstance(ranges, list) or not 0 < len(quantiles) == len(ranges):
        return wanted
    fits = all(share(one) is None for one in quantiles) and all(
        isinstance(one, list) and len(one) == len("ab") and all(end is None or is_number(end) for end in one)
        for one in ranges
    )
    return None if fits else wanted


def partition(value: Any) -> str | None:
    """Bins are limits, one more than there are weights; values have one weight each. Weights add up to 1."""
    wanted = 'such as {"values": ["a", "b"], "weights": [0.4, 0.6]} or {"bins": [0, 1, 9], "weights": [0.4, 0.6]}'
    if not isinstance(value, dict) or set(value) not in ({"values", "weights"}, {"bins", "weights"}):
        return wanted
    weights, parts = value["weights"], value.get("values", value.get("bins"))
    if not isinstance(weights, list) or not isinstance(parts, list) or any(share(one) is not None for one in weights):
        return wanted
    if "bins" in value:
        rise = all(is_number(one) for one in parts) and all(low < high for low, high in pairwise(parts))
        fits = rise and len(parts) == len(weights) + 1
    else:
        fits = value_set(parts) is None and len(parts) == len(weights)
    return None if fits and math.isclose(sum(weights), 1, abs_tol=1e-6) else wanted
