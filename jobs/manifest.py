"""Which deliveries a business date takes: found, inspected and judged before any of them is read by Spark."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from churnlake import calendar
from churnlake.calendar import DayRange
from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.deliveries import Digest, File, Inspected, Layout, digest_of, find_files, inspect, unready
from churnlake.due import due_slots
from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Found, current_versions, taken_files

WAITING_STEP = "deliver it, or declare the day closed in the contract; the next run takes it up"


@dataclass(frozen=True)
class Arrival:
    """A new delivery and how its file is laid out."""

    found: Found
    layout: Layout


@dataclass(frozen=True)
class Manifest:
    """New deliveries of a date, and what was noticed beside them. `stale` snapshots are new and are not read."""

    new: tuple[Arrival, ...]
    missing: tuple[tuple[str, date], ...]
    checks: tuple[CheckResult, ...]
    stale: tuple[Found, ...]


@dataclass
class _Findings:
    """What the files of a date told, source by source."""

    new: list[Arrival] = field(default_factory=list)
    stale: list[Found] = field(default_factory=list)
    missing: list[tuple[str, date]] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Slots:
    """The slots of one source as a date sees them: the files there, and the version of each that is in force.

    A slot is a day; each file of a history is a slot of its own, known by its path.

    `oldest` is the first slot that is still read; `versions` counts those that each slot has had; `stale` are slot and
    sha256 of files that were noted as stale before.
    """

    source: Source
    files: tuple[File, ...]
    current: Mapping[date | str, Delivery]
    versions: Counter[date]
    oldest: date
    stale: frozenset[tuple[date, str]]

    @classmethod
    def seen(cls, contract: Contract, name: str, held: Sequence[Delivery], business_date: date) -> "_Slots":
        source, starts_on = contract.sources[name], contract.calendar.starts_on
        taken = [one for one in taken_files(held) if one.source == name]
        files = tuple(one for one in find_files(contract, name) if starts_on <= one.slot <= business_date)
        is_history = source.delivery == "history"
        is_late_refused = taken and not is_history
        oldest = calendar.given_up_before(business_date, source.max_late_days) if is_late_refused else starts_on
        current = {one.path if is_history else one.slot: one for one in current_versions(taken)}
        stale = frozenset((one.slot, one.sha256) for one in held if (one.source, one.state) == (name, "stale"))
        return cls(source, files, current, Counter(one.slot for one in taken), oldest, stale)

    def in_force(self, file: File) -> Delivery | None:
        """The delivery that fills the file's slot now."""
        return self.current.get(file.path if self.source.delivery == "history" else file.slot)

    @property
    def filled(self) -> set[date]:
        """The days that have a delivery."""
        return {one.slot for one in self.current.values()}

    @property
    def newest(self) -> date | None:
        """The day of the snapshot that is in force; None where deliveries are no snapshots, or none is in."""
        return max(self.filled, default=None) if self.source.delivery == "snapshot" else None

    def is_stale(self, slot: date) -> bool:
        """Whether a newer snapshot is in, so that one of this day can change nothing any more."""
        return self.newest is not None and slot < self.newest

    def missing(self, contract: Contract, name: str, business_date: date, waiting: Collection[File]) -> list[date]:
        """Due slots without a whole file. A newer snapshot tells all that an older one would."""
        present = {file.slot for file in self.files if file not in waiting} | self.filled
        given_up = calendar.given_up_before(business_date, self.source.max_late_days)
        due = due_slots(contract, name, DayRange(max(contract.calendar.starts_on, given_up), business_date))
        told_by = max(present, default=date.min) if self.source.delivery == "snapshot" else date.min
        return [slot for slot in due if slot not in present and slot > told_by]

    @property
    def readable(self) -> Iterator[File]:
        return (file for file in self.files if file.slot >= self.oldest)


def take_manifest(contract: Contract, held: Sequence[Delivery], business_date: date, sealed: date | None) -> Manifest:
    """The deliveries that `business_date` takes in, given those the lake holds already.

    Raises:
        DataRefusedError: Files cannot be used; all are named together.
    """
    sources = {name: _Slots.seen(contract, name, held, business_date) for name in contract.sources}
    waiting = unready(contract, [file for slots in sources.values() for file in slots.readable])
    found = _Findings()
    for name, slots in sources.items():
        found.checks += _too_late(contract, slots)
        arrivals = [_arrival(contract, slots, file, sealed, found) for file in slots.readable if file not in waiting]
        found.new += [arrival for arrival in arrivals if arrival is not None]
        for file, why in waiting.items():
            if file.source == name:
                _note_unready(slots, file, why, found)
        found.missing += [(name, slot) for slot in slots.missing(contract, name, business_date, waiting)]
    found.problems += _stale_copies(found.new, sources)
    if found.problems:
        raise DataRefusedError(
            "deliveries cannot be used:\n  - " + "\n  - ".join(found.problems),
            next_step="repair or replace these files and run again; last scores stay",
        )
    return Manifest(tuple(found.new), tuple(found.missing), tuple(found.checks), tuple(found.stale))


def _arrival(contract: Contract, slots: _Slots, file: File, sealed: date | None, found: _Findings) -> Arrival | None:
    """The file as a new delivery; None when its bytes are in already, or forbid using it."""
    path, current = contract.folder / file.path, slots.in_force(file)
    try:
        digest = digest_of(path)
    except OSError:
        digest = None  # inspecting it tells why
    if current is not None and digest is not None and digest.sha256 == current.sha256:
        return None
    if current is not None and slots.source.delivery == "history":
        found.problems.append(f"{file.path}: has other bytes than when it was taken in: a history is taken in once")
        return None
    if digest is not None and slots.is_stale(file.slot):
        _note_stale(slots, file, digest, found)
        return None
    report = inspect(path, slots.source, digest)
    found.problems += [f"{file.path}: {problem}" for problem in report.problems]
    found.checks += _drift_checks(slots.source, file, report)
    if current is None and slots.source.delivery != "history" and slots.source.closed.covers(file.slot):
        found.checks.append(_on_closed_day(file))
    if report.problems:
        return None
    version = 1 if current is None else slots.versions[file.slot] + 1
    delivery_id = report.delivery_id(file.slot, version)
    new = Found(
        file.source, delivery_id, file.path, report.bytes, report.sha256, file.slot, file.slot,
        calendar.known_date(file.slot, sealed), corrects=None if current is None else current.delivery_id,
    )  # fmt: skip
    return Arrival(new, report.layout)


def _note_stale(slots: _Slots, file: File, digest: Digest, found: _Findings) -> None:
    """A snapshot that comes after a newer one: told of in the night that first sees it, and never read."""
    if (file.slot, digest.sha256) in slots.stale:
        return
    delivery_id = Inspected(*digest, ()).delivery_id(file.slot)
    found.stale.append(Found(file.source, delivery_id, file.path, *digest, file.slot, file.slot, file.slot))
    found.checks.append(
        CheckResult(
            "floor", file.source, f"stale.{file.slot}", "warning", False,
            f"{file.path} came after the snapshot of {slots.newest} and changes nothing",
            "snapshots in the order of their days; what is in it and right belongs into the next one",
        )
    )  # fmt: skip


def _stale_copies(new: Sequence[Arrival], sources: Mapping[str, _Slots]) -> Iterator[str]:
    """A day's file delivered again under another day's name: byte for byte the same is no chance.

    Of a snapshot it is: nothing may have changed in a day.
    """
    replaced = {(one.found.source, one.found.slot) for one in new}
    owners = {
        (name, one.sha256): (one.slot, one.path)
        for name, slots in sources.items()
        for one in slots.current.values()
        if (name, one.slot) not in replaced or slots.source.delivery == "history"
    }
    for found in (one.found for one in new if sources[one.found.source].source.delivery != "snapshot"):
        slot, path = owners.setdefault((found.source, found.sha256), (found.slot, found.path))
        is_history = sources[found.source].source.delivery == "history"
        if path != found.path if is_history else slot != found.slot:
            yield f"{found.path}: has the same bytes as {path}: it is a stale copy; deliver the day's own file"


def redigest(contract: Contract, arrivals: Iterable[Arrival]) -> None:
    """Reads the files once more, after they were used: what was used must be what was frozen.

    Raises:
        DataRefusedError: Files have other bytes than when they were frozen; all are named with both digests.
    """
    problems = [problem for one in arrivals if (problem := _changed(contract, one.found))]
    if problems:
        raise DataRefusedError(
            "deliveries changed while they were read:\n  - " + "\n  - ".join(problems),
            next_step="wait until they are written and run again; last scores stay",
        )


def _changed(contract: Contract, found: Found) -> str | None:
    try:
        now = digest_of(contract.folder / found.path)
    except OSError as problem:
        return f"{found.path}: sha256 was {found.sha256}; now it cannot be read ({problem.strerror or problem})"
    return None if now.sha256 == found.sha256 else f"{found.path}: sha256 was {found.sha256}, is {now.sha256}"


def waits_for(contract: Contract, held: Sequence[Delivery], business_date: date) -> str | None:
    """What the date still waits for, in words; None when nothing. Looks at names and times only, reads no file."""
    sources = {name: _Slots.seen(contract, name, held, business_date) for name in contract.sources}
    came = [file for slots in sources.values() for file in slots.readable if slots.in_force(file) is None]
    waiting = unready(contract, came)
    waited = []
    for name, slots in sources.items():
        why = {file.slot: told for file, told in waiting.items() if file.source == name}
        if slots.source.on_missing == "wait":
            missing = slots.missing(contract, name, business_date, waiting)
            waited += [_waited(name, slots.source, slot, why.get(slot)) for slot in missing]
    if not waited:
        return None
    count = f"{len(waited)} missing file{'s' if len(waited) > 1 else ''}"
    return f"{business_date} waits for {count}: {', '.join(waited[:5])}{' ...' if len(waited) > 5 else ''}"


def _waited(name: str, source: Source, slot: date, why: str | None) -> str:
    return f"{source.path.format(business_date=slot)} ({name}{f', {why}' if why else ''})"


def _note_unready(slots: _Slots, file: File, why: str, found: _Findings) -> None:
    """A file that is not whole has not come yet. Where the date waits for it, it began to change only just now."""
    due = slots.in_force(file) is None and not slots.source.closed.covers(file.slot)
    if due and slots.source.on_missing == "wait":
        found.problems.append(f"{file.path}: {why}: wait for it, then run again")
        return
    found.checks.append(
        CheckResult(
            "floor", file.source, f"unready.{file.slot}", "warning", False, f"{file.path} {why} and was left alone",
            "a file that nobody writes any more; a later run takes it up",
        )
    )  # fmt: skip


def _drift_checks(source: Source, file: File, report: Inspected) -> list[CheckResult]:
    """One check for each kind of difference that the contract lets pass."""
    told: dict[str, list[str]] = {}
    for drift in report.drift:
        told.setdefault(drift.kind, []).append(drift.told)
    return [
        CheckResult(
            "drift", file.source, f"{kind}.{file.slot}",
            "warning" if getattr(source.drift, kind) == "warn" else "info", False,
            f"{file.path}: {'; '.join(sentences)}", "the columns of the contract, as they stand there",
        )
        for kind, sentences in told.items()
    ]  # fmt: skip


def _on_closed_day(file: File) -> CheckResult:
    """No file is right on a closed day, but one that came holds facts: it is taken in, and shown."""
    return CheckResult(
        "floor", file.source, f"closed_day.{file.slot}", "warning", False,
        f"{file.path} came for a day the contract calls closed",
        "no file; if the source was open that day, take it out of `closed` in the contract",
    )  # fmt: skip


def _too_late(contract: Contract, slots: _Slots) -> Iterator[CheckResult]:
    """Files of days that were given up, new or of another size than what was taken in; nothing else of them is read."""
    for file in slots.files:
        current = slots.in_force(file)
        # Of a stale file no more is said than when it was noted.
        if file.slot >= slots.oldest or file.slot in {slot for slot, _ in slots.stale}:
            continue
        days, size = slots.source.max_late_days, (contract.folder / file.path).stat().st_size
        if current is None:
            told = f"{file.path} came more than {days} days late and was refused"
        elif size != current.bytes:
            told = (
                f"{file.path} changed more than {days} days late ({current.bytes:,} bytes, now {size:,}) "
                "and stays as it was taken in"
            )
        else:
            continue
        yield CheckResult(
            "floor", file.source, f"too_late.{file.slot}", "warning", False, told,
            "deliveries within max_late_days; raise it in the contract and rebuild to take the file in",
        )  # fmt: skip
