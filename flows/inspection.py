"""Looking before running: contract, suites and files judged without Spark, and what a run would find."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from churnlake import calendar
from churnlake.contract import Contract, load_contract
from churnlake.deliveries import File, find_files, inspect
from churnlake.due import due_slots, training_schedule, what_is_due, within_histories
from churnlake.errors import ChurnlakeError, ContractError, DataRefusedError
from churnlake.settings import Settings
from churnlake.suites import read_suite
from churnlake.warehouse.publications import Publications
from flows.console import Terminal
from flows.runners import CHECKOUT

FILES_READ = 3
"""Files of each source read whole: the first one and the newest ones. A run reads every one it takes in."""


@dataclass(frozen=True)
class SourceFiles:
    """What lies on the path of a source. `missing` are open days between the first and the last file without one."""

    source: str
    files: int
    first: date | None
    last: date | None
    missing: tuple[date, ...]


@dataclass(frozen=True)
class Inspection:
    """A contract, what a run would find, and everything that stands in its way."""

    contract: str
    sources: tuple[SourceFiles, ...]
    due: tuple[date, ...]
    has_undated_outcomes: bool
    training_cutoffs: tuple[date, ...]
    test_cutoffs: tuple[date, ...]
    problems: tuple[str, ...]


def inspect_contract(path: Path, settings: Settings, now: datetime) -> Inspection:
    """Judges everything that can be judged without running; the contract itself must be readable.

    Raises:
        ContractError: The contract is wrong; all its problems are listed.
        DataRefusedError: Two files claim one day, or a path names a day that does not exist.
    """
    contract = load_contract(path)
    problems = [problem for name in contract.sources for problem in _suite_problems(contract, name)]
    problems += [problem for name in contract.sources for problem in _file_problems(contract, name)]
    sources = tuple(_source_files(contract, name, find_files(contract, name)) for name in contract.sources)
    sealed = Publications.open(settings.warehouse).newest(contract.name) if settings.warehouse.exists() else None
    due = what_is_due(contract, sealed, now)
    schedule = _schedule(contract, due.dates[0] - calendar.ONE_DAY if due.dates else sealed)
    return Inspection(
        contract.name, sources, due.dates, contract.has_undated_outcomes, schedule.train, schedule.test, tuple(problems)
    )


def _suite_problems(contract: Contract, name: str) -> Iterator[str]:
    own = contract.suites / f"{name}.json"
    source = contract.sources[name]
    canonical = (CHECKOUT / "expectations" / f"{source.role}.json", list(source.columns))
    suites = [] if source.role == "lookup" else [canonical]
    suites += [(own, list(source.typed))] if own.exists() else []
    for path, columns in suites:
        try:
            read_suite(path, columns)
        except ContractError as error:
            yield from (f"{path.name}: {problem}" for problem in error.problems)


def _file_problems(contract: Contract, name: str) -> Iterator[str]:
    source = contract.sources[name]
    files = find_files(contract, name)
    if not files:
        yield f"{name}: no file fits {contract.folder / source.path}; correct the path or deliver a file"
    for file in {*files[:1], *files[1 - FILES_READ :]}:
        yield from (f"{file.path}: {problem}" for problem in inspect(contract.folder / file.path, source).problems)


def _source_files(contract: Contract, name: str, files: tuple[File, ...]) -> SourceFiles:
    if not files:
        return SourceFiles(name, 0, None, None, ())
    days = [file.slot for file in files]
    due = due_slots(contract, name, calendar.DayRange(days[0], days[-1]))
    through = contract.sources[name].through or days[-1]
    return SourceFiles(name, len(files), days[0], through, tuple(day for day in due if day not in set(days)))


def _schedule(contract: Contract, complete: date | None) -> calendar.Schedule:
    """The cutoffs a training on data complete through that date would use."""
    if complete is None or contract.has_undated_outcomes:
        return calendar.Schedule((), ())
    return training_schedule(contract, within_histories(contract, complete))


def show_inspection(terminal: Terminal, inspection: Inspection) -> None:
    """Prints it, and ends as a refusal where there are problems.

    Raises:
        ContractError: A suite is wrong.
        DataRefusedError: A file cannot be used.
    """
    for source in inspection.sources:
        terminal.say(f"{source.source}: {source.files:,} files, {source.first} .. {source.last}")
        if source.missing:
            days = ", ".join(map(str, source.missing[:5]))
            told = f"{len(source.missing)} open days have no file: {days}; deliver them or declare them closed"
            terminal.say(f"  warning: {told}")
    if inspection.problems:
        raise _refusal(inspection)
    terminal.document(asdict(inspection) | {"exit_code": 0})
    due = ", ".join(map(str, inspection.due)) or "nothing"
    terminal.say(f"due: {due}")
    terminal.say(f"training: {_training_in_words(inspection)}")
    terminal.say(f"{inspection.contract}: ready")


def _training_in_words(inspection: Inspection) -> str:
    if inspection.has_undated_outcomes:
        return "on outcomes without dates; such a model is provisional"
    cutoffs = f"{len(inspection.training_cutoffs)} training and {len(inspection.test_cutoffs)} test cutoffs"
    enough = bool(inspection.training_cutoffs and inspection.test_cutoffs)
    return cutoffs if enough else f"{cutoffs}: not enough history yet"


def _refusal(inspection: Inspection) -> ChurnlakeError:
    text = "\n".join(f"  - {problem}" for problem in inspection.problems)
    count = f"{len(inspection.problems)} problem{'s' if len(inspection.problems) > 1 else ''}"
    return DataRefusedError(f"{inspection.contract}: {count}\n{text}", next_step="repair these, then check again")
