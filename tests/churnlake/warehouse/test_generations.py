"""What readers see: always one whole night, whatever dies, wherever the folder goes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.errors import ConflictError, UnavailableError
from churnlake.tables import WAREHOUSE
from churnlake.warehouse.duckdb import build_load, generations, materialise, query, sweep
from churnlake.warehouse.publications import Publications

NOW = datetime(2011, 12, 1, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)
NEXT = DAY + timedelta(days=1)
LATEST = "SELECT DISTINCT business_date, run_id FROM churn.scores_latest"


def test_every_object_and_column_has_a_comment(shop: Any) -> None:
    """Whoever opens the file with any client reads what each object and column means, in every schema."""
    shop.publish({"a": 0.5})
    columns = "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
    objects = """SELECT view_name AS name FROM duckdb_views() WHERE NOT internal AND comment IS NULL
        UNION ALL SELECT table_name FROM duckdb_tables() WHERE NOT internal AND comment IS NULL"""
    assert (shop.rows(columns), shop.rows(objects)) == ([], [])
    schemas = "SELECT DISTINCT schema_name FROM duckdb_columns() WHERE NOT internal ORDER BY 1"
    assert shop.rows(schemas) == [("churn",), ("churn_files",), ("churn_shop",)]


def test_published_columns_are_the_registry_in_both_schemas(shop: Any) -> None:
    """With rows in it, each object has the same columns and types as an empty one."""

    def described(schema: str) -> dict[str, Any]:
        return {name: [row[:2] for row in shop.rows(f"DESCRIBE {schema}.{name}")] for name in WAREHOUSE}

    shop.show()
    empty = described("churn")
    shop.publish({"a": 0.5}, excluded={"b": "none"})
    assert described("churn") == described("churn_shop") == empty
    assert {name: tuple(row[0] for row in rows) for name, rows in empty.items()} == {
        name: table.column_names for name, table in WAREHOUSE.items()
    }


def test_nothing_to_do_changes_nothing(shop: Any) -> None:
    """Materialising what is shown already builds no file."""
    shop.publish({"a": 0.5})
    first = materialise(shop.publications)
    assert (materialise(shop.publications), first.stat().st_mode & 0o777) == (first, 0o444)
    assert list(first.parent.iterdir()) == [first]


def crash(shop: Any, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Publish the next night and die at a step, as a killed process would: nothing after it happens."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    epoch, seen = shop.publications.claim("shop"), shop.publications.seen("shop", NEXT)
    if step == "claimed":
        return
    load = shop.load({"b": 0.9}, epoch=epoch, day=NEXT, run_id="next")
    if step == "loaded":
        return
    shop.publications.publish(load.load_id, epoch=epoch, seen=seen, fingerprint="f", actor="a", now=NOW)
    if step == "committed":
        return
    show = generations._show
    dying = {
        "half built": ("_comments", die),
        "built": ("_show", die),
        "shown": ("_show", lambda root, number: die(show(root, number))),
    }
    with monkeypatch.context() as patched:
        patched.setattr(generations, *dying[step])
        with pytest.raises(KeyboardInterrupt):
            materialise(shop.publications)


@pytest.mark.parametrize(
    ("step", "shown", "repaired"),
    [
        ("claimed", "first", "first"),
        ("loaded", "first", "first"),
        ("committed", "first", "next"),
        ("half built", "first", "next"),
        ("built", "first", "next"),
        ("shown", "next", "next"),
    ],
)
def test_p1_a_crash_at_any_step_is_repaired(
    shop: Any, monkeypatch: pytest.MonkeyPatch, step: str, shown: str, repaired: str
) -> None:
    """Readers see one whole night before and after the repair, and the repair shows what was committed."""
    shop.publish({"a": 0.5, "b": 0.5}, run_id="first")
    crash(shop, monkeypatch, step)
    days = {"first": DAY, "next": NEXT}
    assert shop.rows(LATEST) == [(days[shown], shown)]
    shop.show()
    assert shop.rows(LATEST) == [(days[repaired], repaired)]
    shop.publish({"c": 0.1}, day=NEXT + timedelta(days=1), run_id="after")
    assert shop.rows(LATEST) == [(NEXT + timedelta(days=1), "after")]


def test_a_moved_warehouse_is_rebuilt(shop: Any, open_shop: Any) -> None:
    """Views name files absolutely; after a move the next verb makes new ones, under a new generation."""
    shop.publish({"a": 0.5}, run_id="first")
    before = materialise(shop.publications).name
    moved = open_shop(shutil.move(shop.folder, shop.folder.parent / "moved"))
    assert materialise(moved.publications).name > before
    assert moved.rows(LATEST) == [(DAY, "first")]


def test_tables_of_another_version_are_rebuilt(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation of an older Churnlake gives way without a publish."""
    shop.publish({"a": 0.5})
    before = materialise(shop.publications)
    monkeypatch.setattr(generations, "LAYOUT", "newer")
    after = materialise(shop.publications)
    assert (after.name > before.name, materialise(shop.publications)) == (True, after)


def test_a_missing_file_keeps_the_last_generation(shop: Any) -> None:
    """One lost file would break all of the history, so it is named and readers keep what they had."""
    first = shop.publish({"a": 0.5}, run_id="first")
    epoch = shop.publications.claim("shop")
    load = shop.load({"b": 0.9}, epoch=epoch, day=NEXT, run_id="next")
    shop.publications.publish(load.load_id, epoch=epoch, seen=None, fingerprint="f", actor="a", now=NOW)
    file = shop.publications.root / load.folder / "scores.parquet"
    file.rename(file.with_name("lost"))
    with pytest.raises(UnavailableError, match=r"published files are missing, the first is .*load_2/scores.parquet"):
        materialise(shop.publications)
    assert shop.rows(LATEST) == [(DAY, first.run_id)]


def test_a_reader_who_writes_beside_it_harms_nobody(shop: Any) -> None:
    """The file is read-only to everyone but root, and a log left beside an old generation does not meet the new one."""
    shop.publish({"a": 0.5}, run_id="first")
    old = materialise(shop.publications)
    old.with_name(f"{old.name}.wal").write_bytes(b"left by a careless reader")
    shop.publish({"a": 0.6}, day=NEXT, run_id="next")
    assert shop.rows(LATEST) == [(NEXT, "next")]


def test_a_reader_keeps_its_night_while_the_next_is_published(shop: Any) -> None:
    """An open connection goes on with the generation it opened."""
    shop.publish({"a": 0.5}, run_id="first")
    with duckdb.connect((shop.publications.root / "warehouse.duckdb").resolve(), read_only=True) as reader:
        shop.publish({"a": 0.6}, day=NEXT, run_id="next")
        assert reader.execute(LATEST).fetchall() == [(DAY, "first")]


PUBLISHER = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from churnlake.warehouse.duckdb import LoadRequest, build_load, materialise
from churnlake.warehouse.publications import Publications
publications, now = Publications.open(Path(sys.argv[1])), datetime(2011, 12, 1, tzinfo=UTC)
print("start", flush=True)
for scores, population, day, run_id in zip(*[iter(sys.argv[3:])] * 4):
    day = date.fromisoformat(day)
    epoch, seen = publications.claim("shop"), publications.seen("shop", day)
    request = LoadRequest("shop", day, day, run_id, 1, 30, 0, 1, 1, now, False, {"high": 0.1}, {}, [Path(scores)],
        [Path(population)], {})
    load = build_load(publications, request, epoch=epoch, now=now)
    print("loaded", flush=True)
    if sys.argv[2] == "pause":
        sys.stdin.readline()
    publications.publish(load.load_id, epoch=epoch, seen=seen, fingerprint="f", actor="a", now=now)
    materialise(publications)
"""
SIZE = 50


def publisher(shop: Any, nights: dict[date, str], *, pause: bool = False) -> subprocess.Popen[str]:
    """A process of its own that publishes nights; every customer's probability is that night's."""
    given: list[object] = []
    for day, run_id in nights.items():
        probability = 1 / (1 + day.toordinal() % 97)
        scores, population = shop.files({f"c{n}": probability for n in range(SIZE)}, day=day, run_id=run_id)
        given += [scores[0], population[0], day, run_id]
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(shop.publications.root), "pause" if pause else "go", *map(str, given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], word: str) -> None:
    """Wait until the process says a word."""
    assert process.stdout is not None
    assert any(line.strip() == word for line in iter(process.stdout.readline, ""))


def test_p8_a_frozen_publisher_that_wakes_is_refused(shop: Any) -> None:
    """A run frozen after its load, overtaken and thawed changes nothing and says why."""
    shop.publish({"a": 0.5}, run_id="first")
    zombie = publisher(shop, {NEXT: "zombie"}, pause=True)
    said(zombie, "loaded")
    zombie.send_signal(signal.SIGSTOP)
    shop.publish({"a": 0.6}, day=NEXT, run_id="successor")
    zombie.send_signal(signal.SIGCONT)
    _, complaint = zombie.communicate("\n", timeout=30)
    assert zombie.returncode != 0
    assert ConflictError.__name__ in complaint
    assert shop.rows(LATEST) == [(NEXT, "successor")]
    assert shop.publications.of_run("zombie") == []


READER = """
import sys
from pathlib import Path
from churnlake.warehouse.duckdb import query
root = Path(sys.argv[1])
print("start", flush=True)
reads = 0
while not Path(sys.argv[2]).exists():
    mixed = "count(DISTINCT business_date), count(DISTINCT churn_probability)"
    question = f"SELECT count(*), {mixed} FROM churn.scores_latest"
    answer = query(root, question).rows
    assert answer == [(50, 1, 1)], answer
    nights, rows = query(root, "SELECT count(DISTINCT business_date), count(*) FROM churn.scores_history").rows[0]
    assert rows == nights * 50 > 0, (nights, rows)
    reads += 1
print(reads, flush=True)
"""


@pytest.mark.faults
def test_p1_readers_see_whole_nights_while_publishers_are_killed_at_random(shop: Any) -> None:
    """25 nights by publishers killed at random moments, a reader beside them: no mix, no gap, all repaired."""
    moments, stop = random.Random(3), shop.folder / "stop"  # noqa: S311 - not a secret
    assert publisher(shop, {DAY: "r0"}).wait(timeout=30) == 0
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(shop.publications.root), str(stop)], stdout=subprocess.PIPE, text=True
    )
    said(reader, "start")
    killed = 0
    for n in range(1, 25, 3):
        process = publisher(shop, {DAY + timedelta(days=n + k): f"r{n + k}" for k in range(3)})
        said(process, "start")
        time.sleep(moments.uniform(0, 0.9))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        shop.show()
    stop.touch()
    reads, _ = reader.communicate(timeout=30)
    assert reader.returncode == 0
    assert (int(reads) > 0, killed > 3) == (True, True)
    published = shop.publications.published("shop")
    assert len(published) > 3
    shown = shop.rows("SELECT DISTINCT business_date, run_id FROM churn.scores_history ORDER BY 1")
    assert shown == [(publication.business_date, publication.run_id) for publication in published]


def test_sweeping_removes_what_dead_attempts_left_and_nothing_else(shop: Any) -> None:
    """Old unfinished files, unpublished loads and past generations go; the published night and a young load stay."""
    shop.publish({"a": 0.5}, run_id="first")
    shop.publish({"a": 0.6}, run_id="restated")
    publications = shop.publications
    epoch = publications.claim("shop")
    abandoned = shop.load({"a": 0.7}, epoch=epoch, run_id="abandoned")
    scores, population = shop.files({"a": 0.8}, run_id="young")
    young = build_load(
        publications, shop.request(scores, population, run_id="young"), epoch=epoch, now=NOW + timedelta(days=9)
    )
    half = publications.root / abandoned.folder.parent / "load_99" / "scores.parquet.tmp"
    half.parent.mkdir()
    half.touch()
    for path in (half, *publications.root.glob("generations/*")):
        os.utime(path, (0, 0))
    shown = materialise(publications)

    swept = sweep(publications, older_than=timedelta(days=8), now=NOW + timedelta(days=9))
    assert swept.loads == (str(abandoned.folder),)
    assert swept.unfinished == (str(half.relative_to(publications.root)),)
    assert swept.generations == ("generations/000000002.duckdb",) != (f"generations/{shown.name}",)
    assert not (publications.root / abandoned.folder).exists()
    assert (publications.root / young.folder / "scores.parquet").exists()
    with pytest.raises(ConflictError, match="is failed"):
        publications.publish(abandoned.load_id, epoch=epoch, seen=1, fingerprint="f", actor="a", now=NOW)
    shop.show()
    assert shop.rows(LATEST) == [(DAY, "restated")]
    assert sweep(publications, older_than=timedelta(days=8), now=NOW + timedelta(days=9)).loads == ()


def test_a_warehouse_is_shown_to_a_second_process_as_well(shop: Any) -> None:
    """Two openings of one folder see the same."""
    shop.publish({"a": 0.5}, run_id="first")
    other = Publications.open(Path(shop.publications.root))
    assert query(other.root, LATEST).rows == [(DAY, "first")]
