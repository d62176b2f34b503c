"""`churnlake init`: what it asks, what it writes and where, what it refuses."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.init
from churnlake.contract import load_contract
from churnlake.settings import Settings
from flows.cli import app
from flows.inspection import inspect_contract
from flows.runners import CHECKOUT, COMMANDS
from flows.shift import read_clock

BY_DAY = CHECKOUT / "examples" / "online_retail" / "data" / "by_day"
SALES = "customer,sold_at,total\n" + "".join(f"{n % 4},2026-01-{n % 28 + 1:02d} 10:00:00,{n}.50\n" for n in range(60))
UNCLEAR = "customer,sold,total\n" + "".join(f"{n % 4},0{n % 9 + 1}/05/2026,{n}.50\n" for n in range(60))
ROWS = {
    "source": "by_day", "files_read": 305, "raw": 541_909, "accepted": 401_604, "unchanged": 0, "duplicate": 5_225,
    "ignored": {"anonymous": 135_080}, "quarantined": {}, "examples": [],
}  # fmt: skip
COUNTED = {"horizon_days": 60, "cutoffs": 5, "spacing_days": 30, "churned": 2_479, "stayed": 1_724}
TRIED = {
    "sources": [ROWS], "contract": [], "data": [], "warnings": [], "outcomes": [COUNTED], "not_counted": None,
}  # fmt: skip
Init = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Calls `churnlake init` in an empty folder: exit code, output, errors."""
    monkeypatch.setenv("CHURNLAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHURNLAKE_NOW", "2026-06-01T07:00:00+00:00")
    monkeypatch.setattr(flows.init, "machine_zone", lambda: "Europe/Berlin")
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, answers: str = "") -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["init", *arguments], input=answers)
        return result.exit_code, result.stdout, result.stderr

    return called


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at the terminal."""
    monkeypatch.setattr(flows.init, "_may_ask", lambda *_: True)


def sample(content: str, name: str = "orders.csv") -> Path:
    """A sample file in the folder `in`."""
    path = Path("in") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_three_days_of_a_real_shop_become_a_contract(init: Init) -> None:
    """What it saw and decided is printed for every column, then what is to be checked, then what to type."""
    for day in ("2010-12-01", "2010-12-02", "2010-12-03"):
        path = Path("in") / f"{day}.csv.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((BY_DAY / path.name).read_bytes())
    code, out, err = init("shop", "--from", "in")
    assert (code, err) == (0, "")
    contract = load_contract(Path("shop/contract.toml"))
    source = contract.sources["in"]
    assert (contract.name, contract.timezone, contract.currency) == ("shop", "Europe/Berlin", "XXX")
    assert (source.path, source.columns["amount"]) == ("data/{business_date}.csv.gz", "Quantity * UnitPrice")
    assert source.columns["customer_id"] == "REGEXP_REPLACE(CustomerID, '[.]0+$', '')"
    assert [(rule.when, rule.reason) for rule in source.ignore] == [("CustomerID IS NULL", "anonymous")]
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert lines["CustomerID"].split()[1:4] == ["17850.0", "text", "customer_id"]
    assert "CHECK timezone = Europe/Berlin: this machine's; the files name none" in out
    assert out.splitlines()[-1] == "next: read its CHECK lines, then churnlake check shop/contract.toml"


def test_one_folder_alone_is_answered_with_the_whole_command(init: Init) -> None:
    """Which of the two it is nobody can know; the message has the one to type where it holds the samples."""
    code, out, err = init("in")
    assert (code, out) == (2, "")
    assert "init was told one folder, in;" in err
    assert "`churnlake init NEW_FOLDER --from in`" in err


def test_check_accepts_what_init_wrote(init: Init) -> None:
    """Files are found through the link, and every one that is read fits."""
    init("shop", "--from", str(BY_DAY))
    settings = Settings.from_environment()
    inspection = inspect_contract(load_contract(Path("shop/contract.toml")), settings, read_clock(settings))
    assert inspection.problems == ()
    assert [(one.files, one.missing) for one in inspection.sources] == [(305, ())]
    assert len(inspection.training_cutoffs) >= 3


def test_files_elsewhere_are_linked_and_never_moved(init: Init) -> None:
    """A folder by one link, so that new files are seen; a file by itself; both say so."""
    path = sample(SALES)
    assert "which stays as it is" in init("whole", "--from", "in")[1]
    assert (Path("whole/data").readlink(), Path("whole/data/orders.csv").read_text()) == (Path("in").resolve(), SALES)
    assert init("one", "--from", str(path))[0] == 0
    assert Path("one/data/orders.csv").readlink() == path.resolve()
    assert load_contract(Path("one/contract.toml")).sources["orders"].path == "data/orders.csv"
    assert path.read_text() == SALES


def test_copy_copies_the_tables_only(init: Init) -> None:
    """Notes beside them stay where they are."""
    sample(SALES)
    sample("about", "README.md")
    code, out, _ = init("shop", "--from", "in", "--copy")
    assert (code, "copied to shop/data: 1 file" in out) == (0, True)
    assert "note: README.md: its ending .md is none of data" in out
    assert [path.name for path in Path("shop/data").iterdir() if not path.is_symlink()] == ["orders.csv"]


def test_files_below_the_contract_need_neither(init: Init) -> None:
    """Their path starts at the contract's folder."""
    path = Path("shop/in/orders.csv")
    path.parent.mkdir(parents=True)
    path.write_text(SALES)
    assert init("shop", "--from", "shop/in")[0] == 0
    assert load_contract(Path("shop/contract.toml")).sources["orders"].path == "in/orders.csv"
    assert sorted(one.name for one in Path("shop").iterdir()) == ["contract.toml", "in"]


def test_dates_in_names_get_the_form_that_contracts_read(init: Init) -> None:
    """By links of other names; what to do with new files is said."""
    for day in (3, 4, 5):
        rows = f"1,2026-01-0{day} 10:00:00,1.50\n1,2026-01-0{day} 11:00:00,2.50\n"
        sample(f"customer,sold_at,total\n{rows}", f"orders_2026010{day}.csv")
    code, out, _ = init("shop", "--from", "in")
    assert (code, "put new files there under such names" in out) == (0, True)
    assert load_contract(Path("shop/contract.toml")).sources["orders"].path == "daily/orders/{business_date}.csv"
    assert Path("shop/daily/orders/2026-01-03.csv").readlink() == Path("in/orders_20260103.csv").resolve()


def test_an_existing_contract_is_never_overwritten(init: Init) -> None:
    """Nor is anything else that lies in the way."""
    sample(SALES)
    Path("shop").mkdir()
    Path("shop/contract.toml").write_text("mine")
    code, _, err = init("shop", "--from", "in")
    assert (code, Path("shop/contract.toml").read_text()) == (2, "mine")
    assert "shop/contract.toml exists and is never overwritten" in err
    assert "next: give another folder, or move that file away" in err
    Path("other/data").mkdir(parents=True)
    code, _, err = init("other", "--from", "in")
    assert (code, "other/data is taken by something else" in err) == (2, True)
    assert not Path("other/contract.toml").exists()


def test_unclear_dates_without_a_person_exit_2_with_both_readings(init: Init) -> None:
    """Nothing is written; the message says which flag decides."""
    sample(UNCLEAR)
    for flags in ((), ("--yes",)):
        code, _, err = init("shop", "--from", "in", *flags)
        assert code == 2
        assert "orders.sold: 01/05/2026 is 1 May 2026 (day first) or 5 January 2026 (month first)" in err
        assert "next: run it again with --day-first or with --month-first" in err
    assert not Path("shop").exists()


@pytest.mark.parametrize(
    ("flag", "answer", "pattern"),
    [
        ("--day-first", "", "dd/MM/yyyy"),
        ("--month-first", "", "MM/dd/yyyy"),
        (None, "y\n", "dd/MM/yyyy"),
        (None, "n\n", "MM/dd/yyyy"),
    ],
)
def test_a_flag_or_an_answer_decides_unclear_dates(
    init: Init, person: None, flag: str | None, answer: str, pattern: str
) -> None:
    """Asked only where no flag is given."""
    sample(UNCLEAR)
    code, out, _ = init("shop", "--from", "in", *([flag] if flag else []), answers=answer)
    assert (code, "Does the day come first?" in out) == (0, flag is None)
    columns = load_contract(Path("shop/contract.toml")).sources["orders"].columns
    assert columns["event_ts"] == f"TO_TIMESTAMP(sold, '{pattern}')"


def test_a_customer_whom_no_name_tells_is_asked_for(init: Init, person: None) -> None:
    """Or given by --customer; a name that no table has is refused with the known ones."""
    sample(SALES.replace("customer", "badge_no"))
    assert init("asked", "--from", "in", answers="badge_no\n")[0] == 0
    assert load_contract(Path("asked/contract.toml")).sources["orders"].columns["customer_id"] == "badge_no"
    assert init("told", "--from", "in", "--customer", "badge_no")[0] == 0
    code, _, err = init("wrong", "--from", "in", "--customer", "nobody")
    assert (code, "no table has a column 'nobody'; known: badge_no, sold_at, total" in err) == (2, True)


def test_without_a_person_the_columns_that_may_be_the_customer_are_named(init: Init) -> None:
    """Exit 2; the flag is named."""
    sample(SALES.replace("customer", "badge_no"))
    code, _, err = init("shop", "--from", "in")
    assert code == 2
    assert "columns that may: badge_no" in err
    assert "next: run it again with --customer COLUMN" in err


@pytest.mark.parametrize(
    ("content", "name", "code", "told"),
    [
        ("", "orders.csv", 3, "orders.csv: is empty"),
        ('{"a": 1}\n', "orders.csv", 3, "is JSON, not CSV"),
        ("1,2\n3,4\n", "orders.csv", 3, "has no header"),
        ("customer,age\n1,30\n2,40\n", "people.csv", 3, "nothing in these files tells who left"),
    ],
)
def test_files_that_cannot_be_used_exit_3_and_write_nothing(
    init: Init, content: str, name: str, code: int, told: str
) -> None:
    """One message with what to do."""
    sample(content, name)
    given, out, err = init("shop", "--from", "in")
    assert (given, told in err, "next:" in err, "Traceback" in out + err) == (code, True, True, False)
    assert not Path("shop").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "nowhere"), "no file or folder at nowhere"),
        (("--from", "in", "--day-first", "--month-first"), "exclude each other"),
    ],
)
def test_a_wrong_command_exits_2(init: Init, arguments: tuple[str, ...], told: str) -> None:
    """Before any file is read."""
    sample(SALES)
    code, _, err = init("shop", *arguments)
    assert (code, told in err) == (2, True)


def test_a_folder_that_cannot_be_written_exits_6(init: Init) -> None:
    """Here a file stands where the folder should be made."""
    sample(SALES)
    Path("taken").write_text("")
    code, _, err = init("taken/shop", "--from", "in")
    assert (code, "cannot be written" in err) == (6, True)


def test_with_json_the_decisions_are_a_document(init: Init) -> None:
    """And no question is asked: what stays open is listed under `check`."""
    sample(SALES)
    code, out, _ = init("shop", "--from", "in", "--json")
    document = json.loads(out)
    assert (code, document["contract"], document["definition"], document["exit_code"]) == (
        0, "shop/contract.toml", "inactivity", 0,
    )  # fmt: skip
    assert document["types"]["orders"] == {"customer": "text", "sold_at": "timestamp", "total": "decimal(12,2)"}
    assert document["sources"][0]["columns"]["event_ts"] == "sold_at"
    assert [line.split(" ")[0] for line in document["check"]] == ["timezone", "currency", "horizon_days"]


@pytest.mark.parametrize(("named", "zone"), [("Europe/Rome", "Europe/Rome"), (":Asia/Tokyo", "Asia/Tokyo")])
def test_the_zone_of_the_machine_is_that_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, named: str, zone: str
) -> None:
    """A colon may stand before it."""
    monkeypatch.setenv("TZ", named)
    assert flows.init.machine_zone() == zone


def test_a_machine_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A link to nowhere and a made-up name tell none."""
    monkeypatch.setenv("TZ", "Mars/Base")
    monkeypatch.setattr(flows.init, "_LOCALTIME", tmp_path / "localtime")
    assert flows.init.machine_zone() == "UTC"


def test_the_page_for_newcomers_works_to_the_letter(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands up to the first run, from a clone; each line it shows is printed, in its order.

    The trial on real rows is not made again here: what it found of this shop is in TRIED.
    """
    monkeypatch.setitem(COMMANDS, "trial", (sys.executable, "-c", f"print({json.dumps(TRIED)!r})"))
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "examples").symlink_to(CHECKOUT / "examples")
    page = (CHECKOUT / "docs" / "bring_your_own_data.md").read_text()
    blocks = [block.split("```")[0].splitlines() for block in page.split("```console\n")[1:]]
    for command, *shown in blocks[:2]:
        with pytest.MonkeyPatch.context() as inside:
            inside.chdir(clone)
            words = shlex.split(command)
            assert words[:2] == ["$", ".venv/bin/churnlake"]
            result = CliRunner().invoke(app, words[2:])
        assert result.exit_code == 0
        printed = iter(line.rstrip() for line in result.stdout.splitlines())
        assert [line for line in shown if not any(fits(line, one) for one in printed)] == []


def fits(shown: str, printed: str) -> bool:
    """Whether a printed line is the one a page shows; `...` at its end stands for the rest."""
    return printed.startswith(shown.removesuffix("...")) if shown.endswith("...") else printed == shown


def test_every_message_of_the_page_is_one_that_is_given() -> None:
    """A page that explains what nobody is told helps nobody."""
    page = (CHECKOUT / "docs" / "bring_your_own_data.md").read_text().split("## What stops it")[1]
    messages = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    sources = "".join(
        path.read_text() for path in [*(CHECKOUT / "churnlake" / "starter").glob("*.py"), Path(flows.init.__file__)]
    )
    told = [message.split("...: ")[-1].strip(" `") for cell in messages for message in cell.split("`, `")]
    assert len(told) >= 10
    bare = [message.removeprefix("is ").removesuffix(" 1") for message in told]
    assert [message for message in bare if message not in sources] == []
