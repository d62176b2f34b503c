"""A draft as the text of a contract: TOML, with the reason beside each line where something was chosen."""

import json
import textwrap
from collections.abc import Iterator, Sequence

from churnlake.starter import words
from churnlake.starter.columns import Column, Table
from churnlake.starter.draft import Choice, Draft, Source
from churnlake.starter.roles import Part

_PER_LINE = 10
_COMMENT_AT = 40
_WIDTH = 120
_MOST_TOLD = 150


def contract_text(draft: Draft, paths: dict[str, str]) -> str:
    """The contract of a draft. `paths` gives, by the name of a source, its path from the contract's folder."""
    lines = [
        "# A first contract, made from sample files. Each # says why a line is as it is; CHECK marks what the files",
        "# could not tell. Every key is explained in docs/contract.md.",
        "",
        *_head(draft),
    ]
    for source in draft.sources:
        lines += ["", *_source(source, paths[source.part.name])]
    lines += ["", *_churn(draft), "", *_features(draft)]
    return "\n".join(lines) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    yield "[contract]"
    yield _line("name", _text(draft.name), "names the lake and the model; change it now or never")
    yield _chosen("timezone", draft.timezone)
    yield _chosen("currency", draft.currency)
    yield _line("unit", '"customer"', "what one score is about: only a word")
    yield ""
    yield "[calendar]"
    yield _chosen("starts_on", draft.starts_on)
    yield _chosen("clock", draft.clock)


def _source(source: Source, path: str) -> Iterator[str]:
    part, delivery, rows = source.part, source.delivery, source.part.table.rows
    name, told = part.name, f"{rows.count:,} rows read of {told_files(rows.table.files)}"
    yield f"[sources.{name}]"
    yield _line("role", _text(part.role), part.why)
    yield _line("delivery", _text(delivery.kind), delivery.why)
    yield _line("path", _text(path), told + ("" if rows.whole else "; they hold more"))
    if source.through is not None:
        yield _chosen("through", source.through)
    yield from _written(part.table)
    if delivery.kind != "history":
        yield from _days(source)
    yield from _rules(part)
    yield ""
    yield f"[sources.{name}.types]"
    for column in part.table.columns.values():
        yield _line(_key(column.name), _text(column.type), f"{column.seen}; {column.why}")
    if part.columns:
        yield ""
        yield f"[sources.{name}.columns]"
        for canonical, mapped in part.columns.items():
            yield _line(canonical, _text(mapped.sql), mapped.why)
        for left_out in part.left_out:
            yield f"# not taken: {_plain(left_out)}"


def _rules(part: Part) -> Iterator[str]:
    """What the rows ask for beside their types."""
    rows = part.table.rows
    if part.role == "events" and (copies := rows.copies):
        told = f"CHECK: {copies:,} rows are the same as another in every column; keep them if each one counts"
        yield _line("duplicates", '"drop"', told)
    if rows.unnameable or rows.differing:
        yield from _drift(rows.unnameable, rows.differing)
    yield from _anonymous(part)
    if part.key:
        yield _line("key", _list(part.key), "unique in the rows read")
    if part.lookups:
        joined = ", ".join(f"{lookup} = {_list(key)}" for lookup, key in part.lookups.items())
        yield _line("lookups", f"{{ {joined} }}", "brings their columns in as <lookup>_<column>")


def _anonymous(part: Part) -> Iterator[str]:
    if part.customer is not None and part.customer.filled < len(part.customer.values):
        empty = len(part.customer.values) - part.customer.filled
        when = f"{part.customer.sql if part.customer.sql.isidentifier() else _quoted(part.customer)} IS NULL"
        yield _line("ignore", f'[{{ when = {_text(when)}, reason = "anonymous" }}]', f"{empty:,} rows name no customer")


def told_files(files: Sequence[object]) -> str:
    """How many there are."""
    return "1 file" if len(files) == 1 else f"{len(files):,} files"


def _quoted(column: Column) -> str:
    return f"`{column.name}`" if " " in column.name else column.name.replace(".", "_")


def _written(table: Table) -> Iterator[str]:
    """How the files are written, where it is not what a contract takes for granted."""
    rows, dialect = table.rows, table.rows.dialect
    yield _line("format", _text(rows.table.format), dialect.told if dialect is not None else "as the files are")
    if dialect is None:
        return
    if rows.table.format == "text":
        groups = r"\s+".join(rf"(?P<{name}>\S+)" for name in table.columns)
        yield _line("pattern", f"'\\s*{groups}\\s*'", "one group for each column, blanks between them")
        yield _line("header_lines", "1", "the first line holds the names")
    elif dialect.separator != ",":
        yield _line("separator", _text(dialect.separator), "most lines part alike by it")
    if rows.table.format == "csv" and dialect.quote != '"':
        yield _line("quote", _text(dialect.quote), "no quotes around values" if not dialect.quote else "around values")
    if dialect.encoding != "utf-8":
        yield _line(
            "encoding", _text(dialect.encoding), "by its byte mark" if dialect.encoding == "utf-16" else "no UTF-8"
        )
    if table.decimal != ".":
        yield _line("decimal", _text(table.decimal), "numbers are written 1.234,50")
    if table.null_marks:
        yield _line("null_marks", _list(table.null_marks), "stand where a value is missing")


def _days(source: Source) -> Iterator[str]:
    delivery = source.delivery
    if delivery.weekdays or delivery.missing:
        parts = []
        if delivery.weekdays:
            parts.append(f"weekdays = {_list(delivery.weekdays)}")
        if delivery.missing:
            parts.append(f"dates = {_list([str(day) for day in delivery.missing])}")
        told = "no file ever came on this weekday" if delivery.weekdays else ""
        told += ("; " if told and delivery.missing else "") + (
            "CHECK: no file came on these dates" if delivery.missing else ""
        )
        yield _line("closed", f"{{ {', '.join(parts)} }}", told)
    if not delivery.waits:
        yield _line(
            "on_missing", '"warn"', "CHECK: too many days have no file to call them closed; wait is the safe one"
        )
    if delivery.early_days:
        yield _line("max_early_days", str(delivery.early_days), "rows are dated so far after their file")


def _drift(unnameable: Sequence[str], differing: Sequence[str]) -> Iterator[str]:
    rules, told = [], []
    if unnameable:
        rules.append('extra = "accept"')
        told.append(f"left out, as a contract cannot name them or take lists: {', '.join(unnameable)}")
    if differing:
        rules += ([] if unnameable else ['extra = "warn"']) + ['missing = "warn"']
        told.append(f"CHECK: other columns in {', '.join(differing[:3])}")
    yield _line("drift", f"{{ {', '.join(rules)} }}", "; ".join(told))


def _churn(draft: Draft) -> Iterator[str]:
    yield "[churn]"
    yield _chosen("definition", draft.definition)
    if draft.activity is not None:
        yield _chosen("activity", draft.activity)
    if draft.rhythm is not None:
        days = draft.rhythm.active_within_days
        yield _line(
            "active_within_days", str(days), "scored: whoever was active in this many days; long enough to show a habit"
        )
    told = draft.horizon_days
    yield _line("horizon_days", told.value, told.why)
    if draft.rhythm is not None and draft.rhythm.returning is not None:
        share = f"{draft.rhythm.returning:.0%}"
        yield f"# Of silences longer than {told.value} days, {share} ended with a return in these files."
    if draft.definition.value == "expiry":
        yield _line("grace_days", "0", "CHECK: days after the end in which paying again is no churn")
    if draft.definition.value != "label":
        yield _line("gap_days", "0", "the time you need to act before the horizon begins")


def _features(draft: Draft) -> Iterator[str]:
    yield "[features]"
    yield _line("windows_days", f"[{', '.join(map(str, draft.windows_days))}]", "what the history can fill")
    scales = {"amount": 2, "quantity": 0}
    measures = [f'{{ name = "{name}", scale = {scale} }}' for name, scale in scales.items() if draft.mapping(name)]
    if measures:
        yield _line("measures", f"[{', '.join(measures)}]", "summed exactly")
    if draft.mapping("product"):
        yield _line("distinct", '["product"]', "how many different ones")
    if draft.values and draft.mapping("event_type"):
        yield _line("by", f'[{{ column = "event_type", values = {_list(draft.values)} }}]', "counted apart")
    lasting, protected = draft.attributes(words.LASTING), draft.attributes(words.PROTECTED)
    if lasting:
        yield _line(
            "immutable",
            _list(lasting),
            "CHECK: never change, so known from the start; other attributes only from the load on",
        )
    if protected:
        yield _line(
            "protected", _list(protected), "no features: whether the model is fair to them is looked at instead"
        )


def _chosen(key: str, choice: Choice) -> str:
    value = choice.value if choice.value.isdigit() else _text(choice.value)
    return _line(key, value, choice.why)


def _line(key: str, value: str, why: str) -> str:
    """A key with its reason behind it, or above it where the line would grow too long."""
    text, why = f"{key} = {value}", _plain(why)
    if not why:
        return text
    if max(len(text), _COMMENT_AT) + len(why) + 4 <= _WIDTH:
        return f"{text.ljust(_COMMENT_AT)}  # {why}"
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(why, 110))
    return f"{comment}\n{text}"


def _plain(text: str) -> str:
    """Foreign text in a comment: on one line, nothing that cannot be seen, not without end."""
    seen = "".join(one if one.isprintable() else " " for one in text)
    return seen if len(seen) <= 2 * _MOST_TOLD else f"{seen[: 2 * _MOST_TOLD]}..."


def _text(text: str) -> str:
    """A TOML text; a literal one where backslashes would have to be doubled."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalnum() else _text(name)


def _list(values: Sequence[str]) -> str:
    texts = [_text(value) for value in values]
    if len(texts) <= _PER_LINE:
        return f"[{', '.join(texts)}]"
    rows = [", ".join(texts[start : start + _PER_LINE]) for start in range(0, len(texts), _PER_LINE)]
    # A line end inside an inline table is no TOML, inside a list it is.
    return "[\n  " + ",\n  ".join(rows) + ",\n]"
