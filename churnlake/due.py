"""What a contract is due to run, from its files, its seal and the time."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from churnlake import calendar
from churnlake.calendar import DayRange, Due, Schedule
from churnlake.contract.schema import Contract
from churnlake.deliveries import find_files


def newest_date(contract: Contract, now: datetime) -> date | None:
    """The newest date that has ended: yesterday, or under the replay clock the newest delivered one (None: no file)."""
    if contract.calendar.clock == "today":
        return calendar.newest_ended_date(now, contract.timezone)
    return max((day for name in contract.sources for day in _delivered(contract, name)), default=None)


def _delivered(contract: Contract, name: str) -> Iterator[date]:
    """The days that a source's files are for; of a history the last one it covers."""
    source = contract.sources[name]
    if source.role == "lookup":
        return
    for file in find_files(contract, name):
        yield source.through or file.slot


def complete_through(contract: Contract, settled: Mapping[date, date], as_of: date) -> date:
    """LC as known on `as_of`: `settled` gives for each due slot when it was; a history ends where it says it does."""
    return within_histories(
        contract, calendar.complete_through(sorted(settled), lambda slot: settled[slot] <= as_of, as_of)
    )


def within_histories(contract: Contract, day: date) -> date:
    """The day, or the last one that every history still covers where that is earlier."""
    return min([day, *(one.through for one in contract.sources.values() if one.through and one.role != "lookup")])


def due_slots(contract: Contract, name: str, days: DayRange) -> tuple[date, ...]:
    """The days of the range on which a source's delivery is due; a history is due once, on the first day of data."""
    source = contract.sources[name]
    if source.delivery == "history":
        return (contract.calendar.starts_on,)
    return calendar.due_slots(days, source.closed.covers)


def training_schedule(contract: Contract, complete: date) -> Schedule:
    """The cutoffs of a training on data that are complete through a date: those the contract names, or scheduled ones.

    Named ones that are not mature yet are left out.
    """
    churn, rules = contract.churn, contract.training
    if rules.train_on:
        train, test = (
            tuple(sorted(day for day in days if calendar.matures_on(day, churn.maturity_days) <= complete))
            for days in (rules.train_on, rules.test_on)
        )
        return Schedule(train, test)
    first = calendar.first_trainable_date(contract.calendar.starts_on, churn.active_within_days)
    spacing = rules.cutoff_spacing_days or calendar.cutoff_spacing(churn.horizon_days)
    return calendar.training_schedule(first, complete, churn.maturity_days, spacing, rules.max_cutoffs)


def first_training_as_of(contract: Contract, night: date) -> date:
    """The date a first model is trained as of: before its first night, as any night's model is.

    Outcomes without dates came with the data of that very date, so there is nothing to learn from before it.
    """
    return night if contract.has_undated_outcomes else night - calendar.ONE_DAY


def first_model_needs(contract: Contract) -> date:
    """The date through which data must be complete before there is a cutoff to train and one to test on."""
    churn, rules = contract.churn, contract.training
    if rules.train_on:
        newest = max(min(rules.train_on), min(rules.test_on))
    else:
        first = calendar.first_trainable_date(contract.calendar.starts_on, churn.active_within_days)
        newest = calendar.matures_on(first, churn.maturity_days)
    return calendar.matures_on(newest, churn.maturity_days)


def what_is_due(contract: Contract, sealed: date | None, now: datetime, until: date | None = None) -> Due:
    """Business dates to run now, oldest first. `until` asks for one date: it and what was missed before it.

    With nothing published yet only the newest (or the asked) date is due.
    """
    newest = until or newest_date(contract, now)
    if newest is None:
        return Due((), ())
    return calendar.due_dates(sealed, newest, contract.calendar.max_catchup_days)
