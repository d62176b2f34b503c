"""Looking before running: contract, suites and files judged at once, then a trial of the rules on real rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from churnlake import calendar
from churnlake.contract import Contract, load_contract
from churnlake.deliveries import File, find_files, inspect
from churnlake.due import (
    due_slots,
    first_model_needs,
    first_training_as_of,
    training_schedule,
    what_is_due,
    within_histories,
)
from churnlake.errors import ChurnlakeError, ContractError, DataRefusedError
from churnlake.settings import Settings
from churnlake.sufficiency import Outcomes, in_words
from churnlake.suites import read_suite
from churnlake.warehouse.publications import Publications
from flows.asking import ask_job
from flows.console import Terminal
from flows.runners import CHECKOUT

FILES_READ = 3
"""Files of each source read whole: the first one and the newest ones. A run reads every one it takes in."""
_TEXT_SHOWN = 120  # characters of a row's text


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
    complete: date | None
    problems: tuple[str, ...]


def inspect_contract(contract: Contract, settings: Settings, now: datetime) -> Inspection:
    """Judges everything that can be judged without reading rows.

    Raises:
        DataRefusedError: Two files claim one day, or a path names a day that does not exist.
    """
    problems = [problem for name in contract.sources for problem in _suite_problems(contract, name)]
    problems += [problem for name in contract.sources for problem in _file_problems(contract, name)]
    sources = tuple(_source_files(contract, name, find_files(contract, name)) for name in contract.sources)
    sealed = Publications.open(settings.warehouse).newest(contract.name) if settings.warehouse.exists() else None
    due = what_is_due(contract, sealed, now)
    complete = first_training_as_of(contract, due.dates[0]) if due.dates else sealed
    schedule = _schedule(contract, complete)
    return Inspection(
        contract.name, sources, due.dates, contract.has_undated_outcomes, schedule.train, schedule.test, complete,
        tuple(problems),
    )  # fmt: skip


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


def check(terminal: Terminal, path: Path, settings: Settings, now: datetime) -> None:
    """Judges what needs no Spark at once, and where that fits tries the contract's rules on rows of its files.

    Raises:
        ContractError: The contract, a suite or an expression is wrong.
        DataRefusedError: A file cannot be used, or a run would refuse its rows.
    """
    contract = load_contract(path)
    inspection = inspect_contract(contract, settings, now)
    show_files(terminal, inspection)
    if inspection.problems:
        raise _refusal(contract, inspection.problems)
    terminal.working("reading the first files")
    through = inspection.complete or contract.calendar.starts_on
    tried = ask_job("trial", contract, (f"--through={through}",), settings)
    terminal.still()
    show_trial(terminal, contract, inspection, tried)


def show_files(terminal: Terminal, inspection: Inspection) -> None:
    """What lies on the paths of the sources."""
    for source in inspection.sources:
        terminal.say(f"{source.source}: {_counted(source.files, 'file')}, {source.first} .. {source.last}")
        if source.missing:
            days = ", ".join(map(str, source.missing[:5]))
            told = f"{len(source.missing)} open days have no file: {days}; deliver them or declare them closed"
            terminal.say(f"  warning: {told}")


def show_trial(terminal: Terminal, contract: Contract, inspection: Inspection, tried: Mapping[str, Any]) -> None:
    """What would become of the rows and whether they are enough to train; ends as a refusal where there are problems.

    Raises:
        ContractError: An expression is wrong, or selects nothing.
        DataRefusedError: A run would refuse the rows.
    """
    for source in tried["sources"]:
        _show_rows(terminal, source)
    for warning in tried["warnings"]:
        terminal.say(f"warning: {warning}")
    if tried["contract"]:
        raise ContractError(str(contract.path), tried["contract"])
    if tried["data"]:
        raise _refusal(contract, tried["data"])
    terminal.document(asdict(inspection) | {"trial": tried, "exit_code": 0})
    terminal.say(f"due: {', '.join(map(str, inspection.due)) or 'nothing'}")
    is_enough, training = _training_in_words(contract, inspection, tried)
    terminal.say(f"training: {training}")
    aside = sum(sum(one["quarantined"].values()) for one in tried["sources"])
    files = sum(one.files for one in inspection.sources)
    ready = "ready" if is_enough else "ready to take data in, but not to train (see above)"
    terminal.say(
        f"{inspection.contract}: {_counted(files, 'file')}, {_counted(aside, 'row')} would be set aside: {ready}"
    )


def _show_rows(terminal: Terminal, source: Mapping[str, Any]) -> None:
    reasons = {"ignored": source["ignored"], "set aside": source["quarantined"]}
    shown = ("accepted", *(["unchanged"] if source["unchanged"] else []), "duplicate")
    told = [f"{source[bucket]:,} {bucket}" for bucket in shown]
    told += [f"{number:,} {name} ({why})" for name, found in reasons.items() for why, number in found.items()]
    read = f"{_counted(source['raw'], 'row')} of {_counted(source['files_read'], 'file')}"
    terminal.say(f"{source['source']}: {read} = {' + '.join(told)}")
    for one in source["examples"]:
        record = "" if one["record"] is None else f" record {one['record']:,}"
        text = ", ".join(f"{name} = {value!r}" for name, value in one["text"].items())
        terminal.say(f"  {one['file']}{record}: {', '.join(one['reasons'])}: {text[:_TEXT_SHOWN]}")


def _training_in_words(contract: Contract, inspection: Inspection, tried: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether there is enough to train on, and how much that is."""
    found = [Outcomes(**one) for one in tried["outcomes"]]
    cutoffs = f"{len(inspection.training_cutoffs)} training and {len(inspection.test_cutoffs)} test cutoffs"
    if inspection.has_undated_outcomes:
        cutoffs = "on outcomes without dates; such a model is provisional"
    elif not (inspection.training_cutoffs and inspection.test_cutoffs):
        first = first_model_needs(contract)
        return False, f"{cutoffs}: not enough history yet; the first model needs data complete through {first}"
    if not found:
        return True, f"{cutoffs}; outcomes were not counted: {tried['not_counted']}"
    horizon, needed = contract.churn.horizon_days, contract.training.minimum_outcomes
    mine = next(one for one in found if one.horizon_days == horizon)
    return mine.rarer >= needed, f"{cutoffs}; {in_words(found, horizon, needed)}"


def _refusal(contract: Contract, problems: Sequence[str]) -> ChurnlakeError:
    text = "\n".join(f"  - {problem}" for problem in problems)
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return DataRefusedError(f"{contract.name}: {count}\n{text}", next_step="repair these, then check again")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
