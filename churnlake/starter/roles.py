"""What a sample table is for churn: its role, and which of its columns stand for which canonical ones."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from churnlake.contract.values import RESERVED_COLUMNS
from churnlake.starter import words
from churnlake.starter.columns import Column, Table
from churnlake.starter.dated_files import ONE_ROW_EACH, are_whole_tables
from churnlake.starter.mapping import (
    MOST_VALUES,
    Mapped,
    amount_of,
    as_date,
    as_time,
    by_name,
    by_value,
    event_type_of,
    has_negative,
    identity,
    literal,
    money_of,
    product_of,
    quantity_of,
    told_time,
)
from churnlake.starter.samples import contract_name

Role = Literal["events", "customers", "subscriptions", "renewals", "labels", "lookup"]

# From one date's table to the next more leave than this only where the files are something else; rows of a day are new.
_STAY = 0.5
# Ids of customers in two tables: most of the smaller one's, written with so many signs that it is no chance.
_SHARED = 0.8
_FEWEST_SHARED = 20
_LONG_ENOUGH = 5
_MOST_NEW = 0.5
_MOST_LEVELS = 200
# Rows that begin and end within a day; some lines of a call log lack their end.
_SESSIONS = 0.9
_YES = ("yes", "true", "1", "1.0", "y", "t", "churned", "churn", "left", "ja", "gone")
_NO_ATTRIBUTE = RESERVED_COLUMNS | {"customer_id", "event_ts"}


@dataclass(frozen=True)
class Part:
    """A source of the contract: one role of one table.

    `time` is when its rows happened or began, `end` when they ended; `sign` is the column whose minus means a return;
    `values` are the kinds of events.
    """

    name: str
    table: Table
    role: Role
    why: str
    columns: Mapping[str, Mapped] = field(default_factory=dict)
    time: Column | None = None
    end: Column | None = None
    customer: Column | None = None
    key: tuple[str, ...] = ()
    lookups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    sign: Column | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class CustomerChoice:
    """Columns that may hold the customer, where no name tells."""

    candidates: tuple[str, ...]


def find_customers(tables: Sequence[Table], told: str | None) -> dict[str, Column] | CustomerChoice:
    """The customer's column of each table that has one; a choice where no name tells it."""
    if told is not None:
        chosen = {table.name: table.columns[told] for table in tables if told in table.columns}
        return _with_same_values(tables, chosen)
    named = {table.name: [one for one in table.columns.values() if _names_customer(one)] for table in tables}
    often = [one.name for found in named.values() for one in found]
    chosen = {
        name: max(found, key=lambda one: (often.count(one.name), words.is_id(one.name)))
        for name, found in named.items()
        if found
    }
    if chosen:
        return _with_same_values(tables, chosen)
    ids = [
        one for table in tables for one in table.of_nature("id") if words.is_id(one.name) and one.distinct < one.filled
    ]
    others = [one for table in tables for one in table.of_nature("id", "text", "number") if one.distinct > 1]
    return CustomerChoice(tuple(dict.fromkeys(one.name for one in ids or others)))


def _with_same_values(tables: Sequence[Table], customers: Mapping[str, Column]) -> dict[str, Column]:
    """Adds the column of each other table that holds the same customers under a name of its own."""
    known = [_long_values(one) for one in customers.values()]
    found = dict(customers)
    for table in tables:
        for column in table.of_nature("id", "text"):
            values = _long_values(column)
            if any(len(values & one) >= max(_SHARED * min(len(values), len(one)), _FEWEST_SHARED) for one in known):
                found.setdefault(table.name, column)
    return found


def _long_values(column: Column) -> set[str]:
    return {value for value in column.values if value is not None and len(value) >= _LONG_ENOUGH}


def _names_customer(column: Column) -> bool:
    is_key = words.is_id(column.name) or len(words.words(column.name)) == 1 or column.nature == "id"
    return words.speaks_of(column.name, words.CUSTOMER) and is_key and column.filled > 0


def decide_parts(tables: Sequence[Table], customers: Mapping[str, Column]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The sources that the tables make, and why each other table is left out."""
    parts: list[Part] = []
    left_out: list[str] = []
    for table in tables:
        customer = customers.get(table.name)
        told = _lookup(table, tables, customers) if customer is None else _parts(table, customer)
        if isinstance(told, str):
            left_out.append(f"{table.name}: {told}")
        else:
            parts += told
    lookups = [part for part in parts if part.role == "lookup"]
    return tuple(_with_lookups(part, lookups) for part in parts), tuple(left_out)


def _parts(table: Table, customer: Column) -> list[Part] | str:
    until = next((one for one in _times(table) if words.says_paid_until(one.name)), None)
    time = _event_time(table, until)
    one_each = customer.distinct >= ONE_ROW_EACH * customer.filled or are_whole_tables(table, customer, time)
    churn = _churn_column(table, customer)
    start, end = (by_name(_times(table), known) for known in (words.START, words.END))
    if one_each and churn is not None:
        return _labels(table, customer, churn)
    if start is not None and end is not None and start is not end and not _are_sessions(start, end):
        return [_subscriptions(table, customer, start, end)]
    if until is not None and time is not None and not one_each:
        return [_renewals(table, customer, time, until)]
    if time is not None and (not one_each or _looks_like_events(table)):
        return [_events(table, customer, time)]
    if one_each:
        return [_customers(table, customer, None, f"one row for each {customer.name} and no time of an event")]
    return f"many rows for one {customer.name} and no column with a time: nothing says when they happened"


def _are_sessions(start: Column, end: Column) -> bool:
    """Calls and visits begin and end too, within a day: they are events."""
    if start.read_day is None or end.read_day is None:
        return False
    spans = [
        (last - first).days
        for one, other in zip(start.values, end.values, strict=True)
        if one is not None and other is not None
        and (first := start.read_day(one)) is not None and (last := end.read_day(other)) is not None
    ]  # fmt: skip
    return sum(0 <= days <= 1 for days in spans) >= _SESSIONS * len(start.values)


def _times(table: Table) -> list[Column]:
    return table.of_nature("time", "date", "day number")


def _event_time(table: Table, until: Column | None) -> Column | None:
    """When a row happened: the time that is likeliest, but for the one `until` which somebody has paid."""
    times = [one for one in _times(table) if one is not until and one.filled]
    fitting = [one for one in times if not words.speaks_of(one.name, words.NOT_AN_EVENT)]
    order = {"time": 2, "date": 1, "day number": 0}

    def rank(column: Column) -> tuple[bool, int, int]:
        return words.speaks_of(column.name, words.EVENT), order[column.nature], column.filled

    return max(fitting, key=rank, default=None)


def _looks_like_events(table: Table) -> bool:
    """One row per customer and a time: a single quiet day of a shop, or a list of customers with their sign-up."""
    is_list = any(word in words.CUSTOMER for word in words.words(table.name))
    return not is_list and bool(amount_of(table) or quantity_of(table) or table.rows.table.files[0].day)


def _churn_column(table: Table, customer: Column) -> Column | None:
    two = [one for one in table.columns.values() if one.distinct == 2 and one is not customer]
    return next((one for one in two if words.speaks_of(one.name, words.CHURN)), None)


def _labels(table: Table, customer: Column, churn: Column) -> list[Part]:
    seen, yes = _seen(churn), _yes(churn)
    if churn.nature == "flag":
        test, why = churn.sql, f"{churn.name} is true or false"
    else:
        value = yes[0] if len(yes) == 1 else min(seen, key=churn.values.count)
        test = _equals(churn, value)
        why = f"{churn.name} holds {' and '.join(seen)}" + ("" if len(yes) == 1 else f"; CHECK that {value} means gone")
    told = f"one row for each {customer.name}, and {churn.name} says who left"
    outcome = Part(
        f"{table.name[:31]}_outcome", table, "labels", told,
        {"customer_id": identity(customer), "is_churned": Mapped(test, why)}, customer=customer,
    )  # fmt: skip
    profile = _customers(table, customer, churn, f"the same rows: all but {churn.name} describe the customer")
    return [profile, outcome] if len(profile.columns) > 1 else [outcome]


def _seen(column: Column) -> list[str]:
    return sorted({value.strip() for value in column.values if value is not None})


def _yes(column: Column) -> list[str]:
    return [value for value in _seen(column) if value.lower() in _YES]


def _equals(column: Column, value: str) -> str:
    return f"{column.sql} = {value if column.nature == 'number' else literal(value)}"


def _is_yes(table: Table, *known: Collection[str]) -> Mapped | None:
    """The test of the column of two values, one of them a yes, whose name speaks of all that is known."""
    for column in table.columns.values():
        if not all(words.speaks_of(column.name, one) for one in known):
            continue
        if column.nature == "flag":
            return Mapped(column.sql, f"{column.name} is true or false")
        if column.distinct <= 2 and len(_yes(column)) == 1:
            return Mapped(_equals(column, _yes(column)[0]), f"{column.name} holds {' and '.join(_seen(column))}")
    return None


def _customers(table: Table, customer: Column, outcome: Column | None, why: str) -> Part:
    columns = {"customer_id": identity(customer)}
    left_out = []
    for column in table.columns.values():
        if column is customer or column is outcome:
            continue
        reason = _no_attribute(column)
        if reason:
            left_out.append(f"{column.name}: {reason}")
            continue
        name = contract_name(column.name) or "attribute"
        name = f"{name[:34]}_value" if name in _NO_ATTRIBUTE or name in columns else name
        sql = f"CAST({column.sql} AS STRING)" if column.nature == "flag" else column.sql
        columns[name] = Mapped(sql, "")
    return Part(table.name, table, "customers", why, columns, customer=customer, left_out=tuple(left_out))


def _no_attribute(column: Column) -> str | None:
    if not column.filled:
        return "empty"
    if words.speaks_of(column.name, words.OUTCOME):
        return "looks like an outcome: known only afterwards, it would leak"
    if column.nature in ("date", "time", "day number"):
        return "a date is no attribute"
    if column.nature in ("text", "id") and (column.distinct > _MOST_LEVELS or 2 * column.distinct > column.filled):
        return f"{column.distinct:,} different texts"
    return None


def _subscriptions(table: Table, customer: Column, start: Column, end: Column) -> Part:
    renewal = by_name([one for one in _times(table) if one not in (start, end)], words.RENEWAL)
    open_rows = len(end.values) - end.filled
    counted = f"; {told_time(start)}" if start.nature == "day number" else ""
    columns = {
        "customer_id": identity(customer),
        "started_on": Mapped(as_date(start), f"{start.name} begins it{counted}"),
        "ended_on": Mapped(
            as_date(end), f"{end.name} ends it; empty in {open_rows:,} of {len(end.values):,} rows: still there"
        ),
    }
    if renewal is not None:
        columns["renews_on"] = Mapped(as_date(renewal), renewal.name)
    columns |= _plan_and_price(table, customer)
    why = f"{start.name} and {end.name} begin and end something"
    return Part(table.name, table, "subscriptions", why, columns, time=start, end=end, customer=customer)


def _plan_and_price(table: Table, customer: Column) -> dict[str, Mapped]:
    texts = [one for one in table.of_nature("text", "id") if one is not customer and one.distinct <= _MOST_LEVELS]
    plan = by_name(texts, words.PLAN)
    price = by_name(table.of_nature("money"), words.PRICE | words.TOTAL)
    found = {} if plan is None else {"plan": Mapped(plan.sql, f"{plan.distinct:,} different")}
    return found | ({} if price is None else {"price": Mapped(price.sql, price.name)})


def _renewals(table: Table, customer: Column, time: Column, until: Column) -> Part:
    told = f"{until.name}: CHECK that it is the first day not paid for; DATE_ADD({as_date(until)}, 1) if it is the last"
    columns = {
        "customer_id": identity(customer),
        "event_ts": Mapped(as_time(time), told_time(time)),
        "paid_until": Mapped(as_date(until), told),
    }
    cancels = _is_yes(table, words.CANCEL)
    auto_renew = _is_yes(table, words.AUTO_RENEWAL, words.RENEWAL)
    columns |= {} if cancels is None else {"cancels": cancels}
    columns |= {} if auto_renew is None else {"auto_renew": auto_renew}
    columns |= _plan_and_price(table, customer)
    why = f"many rows for one {customer.name}, each paid until {until.name}"
    return Part(table.name, table, "renewals", why, columns, time=time, customer=customer)


def _events(table: Table, customer: Column, time: Column) -> Part:
    columns = {"customer_id": identity(customer), "event_ts": Mapped(as_time(time), told_time(time))}
    quantity, amount, sign = quantity_of(table), amount_of(table), None
    event_type, values = event_type_of(table, customer)
    if event_type is None:
        sign = next((one for one in (quantity, money_of(table)) if one is not None and has_negative(one)), None)
        if sign is not None:
            event_type = Mapped(
                f"CASE WHEN {sign.sql} < 0 THEN 'return' ELSE 'purchase' END",
                f"{sign.name} is negative in some rows: CHECK",
            )
            values = ("purchase", "return")
    if event_type is not None:
        columns["event_type"] = event_type
    if amount is not None:
        columns["amount"] = amount
    if quantity is not None:
        columns["quantity"] = Mapped(quantity.sql, f"{quantity.name}: whole numbers")
    product = product_of(table, customer)
    if product is not None:
        columns["product"] = Mapped(product.sql, f"{product.name}: {product.distinct:,} different")
    rows = customer.filled / max(customer.distinct, 1)
    why = f"{rows:.1f} rows for each {customer.name}, each with its time"
    return Part(table.name, table, "events", why, columns, time=time, customer=customer, values=values, sign=sign)


def _lookup(table: Table, tables: Sequence[Table], customers: Mapping[str, Column]) -> list[Part] | str:
    others = [one for one in tables if one.name in customers]
    for size in (1, 2):
        for key in itertools.combinations(table.columns, size):
            users = [one.name for one in others if all(name in one.columns for name in key)]
            if users and len(table.columns) > size and _is_unique(table, key):
                unique = f"{' and '.join(key)} {'is' if size == 1 else 'are together'} unique"
                why = f"no customer in it; {unique} and {'stands' if size == 1 else 'stand'} in {', '.join(users)}"
                return [Part(table.name, table, "lookup", why, key=key)]
    return "no column of the customer, and no unique key that another table has"


def _is_unique(table: Table, key: tuple[str, ...]) -> bool:
    rows = list(zip(*(table.columns[name].values for name in key), strict=True))
    return len(set(rows)) == len(rows) and all(None not in row for row in rows)


def _with_lookups(part: Part, lookups: Sequence[Part]) -> Part:
    """Joins the lookups whose key an events source has; one may bring the kind of event."""
    if part.role != "events":
        return part
    joined = {one.name: one.key for one in lookups if all(name in part.table.columns for name in one.key)}
    columns, values = dict(part.columns), part.values
    for lookup in lookups:
        texts = [one for one in lookup.table.of_nature("text") if 2 <= one.distinct <= MOST_VALUES]
        column = by_name(texts, words.TYPE)
        if lookup.name in joined and "event_type" not in columns and column is not None:
            columns["event_type"], values = by_value(f"{lookup.name}_{column.name}", column)
    return replace(part, columns=columns, lookups=joined, values=values)
