"""What a contract is due to run, from its files, its seal and the time."""

from datetime import date, datetime

from churnlake import calendar
from churnlake.calendar import Due
from churnlake.contract.schema import Contract
from churnlake.deliveries import find_files


def newest_date(contract: Contract, now: datetime) -> date | None:
    """The newest date that has ended: yesterday, or under the replay clock the newest delivered one (None: no file)."""
    if contract.calendar.clock == "today":
        return calendar.newest_ended_date(now, contract.timezone)
    return max((file.slot for name in contract.sources for file in find_files(contract, name)), default=None)


def what_is_due(contract: Contract, sealed: date | None, now: datetime, until: date | None = None) -> Due:
    """Business dates to run now, oldest first. `until` asks for one date: it and what was missed before it.

    With nothing published yet only the newest (or the asked) date is due.
    """
    newest = until or newest_date(contract, now)
    if newest is None:
        return Due((), ())
    return calendar.due_dates(sealed, newest, contract.calendar.max_catchup_days)
