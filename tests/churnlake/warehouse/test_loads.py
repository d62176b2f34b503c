"""What stands in a load: ranks, bands, reasons in words, previous estimates; and what its audit refuses."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churnlake.errors import ChurnlakeError, DataRefusedError, UsageError
from churnlake.tables import WAREHOUSE, data_dictionary
from churnlake.warehouse.duckdb import build_load
from churnlake.warehouse.duckdb.loads import band_limits

NOW = datetime(2011, 12, 1, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)
LEAD = "the estimate most, compared with the average customer in training: "


@pytest.mark.parametrize(
    ("customers", "ranked"),
    [
        (0, []),
        (1, [(1, 100, 10, "high")]),
        (2, [(1, 100, 10, "high"), (2, 50, 5, "low")]),
        (9, [(1, 100, 10, "high"), (2, 89, 9, "medium"), (3, 78, 8, "medium"), (4, 67, 7, "low"), (9, 12, 2, "low")]),
        (10, [(1, 100, 10, "high"), (2, 90, 9, "medium"), (3, 80, 8, "medium"), (4, 70, 7, "low"), (10, 10, 1, "low")]),
        (11, [(1, 100, 10, "high"), (2, 91, 10, "high"), (4, 73, 8, "medium"), (5, 64, 7, "low"), (11, 10, 1, "low")]),
    ],
)
def test_ranks_and_bands_at_small_sizes(shop: Any, customers: int, ranked: list[tuple[Any, ...]]) -> None:
    """Rank 1 is the most at risk; percentile and decile grow with risk; a band's share is rounded up."""
    shop.publish({f"c{n:02}": n / 20 for n in range(customers)}, excluded={"gone": "no_activity"})
    rows = shop.rows("SELECT risk_rank, risk_percentile, risk_decile, risk_band FROM churn.scores_latest ORDER BY 1")
    assert [row[0] for row in rows] == list(range(1, customers + 1))
    assert [row for row in rows if row[0] in {row[0] for row in ranked}] == ranked


@given(st.integers(0, 10_000_000), st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True))
def test_bands_are_nested_and_never_a_customer_off(customers: int, per_cent: list[int]) -> None:
    """Each limit is the smallest count that is at least its share, in whole numbers."""
    bands = {f"b{n}": n / 100 for n in sorted(per_cent)}
    limits = band_limits(bands, customers)
    assert limits == {f"b{n}": -(-n * customers // 100) for n in sorted(per_cent)}


def test_equal_probabilities_are_ranked_the_same_every_time(shop: Any) -> None:
    """P2: ties go by md5 of the id, so neither the order of the files nor the age of the id decides."""
    shop.publish(dict.fromkeys(("1", "2", "3", "4"), 0.5))
    by_md5 = [name for (name,) in shop.rows("SELECT unnest(['1', '2', '3', '4']) AS c ORDER BY md5(c)")]
    shown = [name for (name,) in shop.rows("SELECT customer_id FROM churn.scores_latest ORDER BY risk_rank")]
    assert shown == by_md5 != ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("reasons", "texts"),
    [
        ([], (None, None, None)),
        ([("days_since_order", 12.0, "raises")], (f"Raises {LEAD}last order 12 days ago.", None, None)),
        (
            [("days_since_order", 1.0, "raises"), ("days_since_order", 0.0, "lowers")],
            (f"Raises {LEAD}last order 1 day ago.", "Also lowers the estimate: last order 0 days ago.", None),
        ),
        (
            [("spend_90d", 12345.0, "lowers"), ("days_since_order", 2.5, "raises"), ("spend_90d", -0.0, "lowers")],
            (
                f"Lowers {LEAD}spent 123.45 in 90 days.",
                "Also raises the estimate: last order 2.50 days ago.",
                "Also lowers the estimate: spent 0.00 in 90 days.",
            ),
        ),
        (
            [
                ("days_since_order", None, "raises"),
                ("days_since_order", math.nan, "lowers"),
                ("spend_90d", 1e22, "raises"),
            ],
            (
                f"Raises {LEAD}no value known for days since order.",
                "Also lowers the estimate: no value known for days since order.",
                "Also raises the estimate: spent 100000000000000000000.00 in 90 days.",
            ),
        ),
        (
            [("region", "Scotland", "raises"), ("region", "", "lowers"), ("region", None, "raises")],
            (
                f"Raises {LEAD}region: Scotland.",
                "Also lowers the estimate: region: .",
                "Also raises the estimate: no value known for region.",
            ),
        ),
    ],
    ids=["none", "one", "a single day", "scaled", "unknown and huge", "categories"],
)
def test_reasons_read_as_sentences(shop: Any, reasons: list[Any], texts: tuple[str | None, ...]) -> None:
    """Values are scaled to people's units; a value nobody knows is said to be unknown, not zero."""
    shop.publish({"a": 0.5}, reasons={"a": reasons})
    assert shop.rows("SELECT reason_1_text, reason_2_text, reason_3_text FROM churn.scores_latest") == [texts]


def test_the_previous_estimate_is_that_of_the_last_published_date(shop: Any) -> None:
    """A customer not scored then has none, and the change is the difference."""
    shop.publish({"a": 0.5, "b": 0.25}, day=DAY, run_id="1")
    shop.publish({"a": 0.75, "c": 0.1}, day=DAY + timedelta(days=2), run_id="2")
    query = "SELECT customer_id, previous_probability, probability_change FROM churn.scores_latest ORDER BY 1"
    assert shop.rows(query) == [("a", 0.5, 0.25), ("c", None, None)]


@pytest.mark.parametrize("changed", [{"contract_version": 2}, {"horizon_days": 60}, {"gap_days": 7}])
def test_a_changed_meaning_shows_no_change(shop: Any, changed: dict[str, int]) -> None:
    """Estimates of another definition are shown, but their difference would mean nothing."""
    shop.publish({"a": 0.5}, day=DAY, run_id="1")
    shop.publish({"a": 0.75}, day=DAY + timedelta(days=1), run_id="2", facts=changed)
    query = "SELECT previous_probability, probability_change FROM churn.scores_latest"
    assert shop.rows(query) == [(0.5, None)]


def test_who_is_not_scored_and_why(shop: Any) -> None:
    """P3: excluded and held customers are listed with their reason; scored and not scored are all that are known."""
    shop.publish({"a": 0.5}, excluded={"b": "no_activity"}, held={"c": "odd_features"})
    assert shop.rows("SELECT customer_id, status, reason FROM churn.not_scored ORDER BY 1") == [
        ("b", "excluded", "no_activity"),
        ("c", "held", "odd_features"),
    ]


@pytest.mark.parametrize(
    ("people", "fault"),
    [
        ({"probabilities": {"a": 1.1}}, "1 probabilities that are null or outside 0 to 1"),
        ({"probabilities": {"a": -0.1}}, "1 probabilities that are null or outside 0 to 1"),
        ({"probabilities": {"a": None}}, "1 probabilities that are null or outside 0 to 1"),
        ({"probabilities": {"a": math.nan}}, "1 probabilities that are null or outside 0 to 1"),
        ({"probabilities": {"a": 0.1}, "eligible": ["a", "b"]}, "1 eligible customers neither scored nor held"),
        ({"probabilities": {"a": 0.1, "b": 0.2}, "eligible": ["a"]}, "1 scored customers who are not eligible"),
        ({"probabilities": {"a": 0.1}, "held": {"b": ""}}, "1 eligible customers neither scored nor held"),
        ({"probabilities": {"a": 0.1}, "eligible": [], "held": {"a": "odd"}}, "1 customers both scored and held"),
        ({"probabilities": {"a": 0.1}, "excluded": {"b": ""}}, "1 excluded customers without a reason"),
        ({"probabilities": {"a": 0.1}, "eligible": ["a", "a"]}, "1 customer ids more than once in the population"),
        ({"probabilities": {"": 0.1}}, "1 rows without a customer_id"),
        ({"probabilities": {"a": 0.1}, "reasons": {"a": [("ghost", 1.0, "raises")]}}, "1 rows whose reasons are"),
        ({"probabilities": {"a": 0.1}, "reasons": {"a": [("spend_90d", 1.0, "up")]}}, "1 rows whose reasons are"),
        (
            {"probabilities": {"a": 0.1}, "reasons": {"a": [(None, None, None), ("spend_90d", 1.0, "raises")]}},
            "1 rows whose",
        ),
    ],
)
def test_p12_a_load_that_fails_its_audit_is_never_published(shop: Any, people: dict[str, Any], fault: str) -> None:
    """The fault is named, the load is marked failed, and the night before stays what readers see."""
    shop.publish({"before": 0.5}, day=DAY - timedelta(days=1), run_id="before")
    epoch = shop.publications.claim("shop")
    with pytest.raises(DataRefusedError, match=fault) as caught:
        shop.load(epoch=epoch, **people)
    assert caught.value.exit_code == 3
    load = shop.publications.load(2)
    assert (load.state, load.message) == ("failed", str(caught.value))
    with pytest.raises(ChurnlakeError):
        shop.publications.publish(2, epoch=epoch, seen=None, fingerprint="f", actor="a", now=NOW)
    assert shop.rows("SELECT customer_id FROM churn.scores_latest") == [("before",)]


def test_p3_a_customer_twice_is_refused(shop: Any) -> None:
    """The same file given twice doubles every customer, which the audit names."""
    scores, population = shop.files({"a": 0.1, "b": 0.2})
    epoch = shop.publications.claim("shop")
    with pytest.raises(DataRefusedError, match="2 customer ids more than once among the scores"):
        build_load(shop.publications, shop.request(scores * 2, population), epoch=epoch, now=NOW)


@pytest.mark.parametrize(
    ("given", "fault"),
    [({"run_id": "other"}, "rows of another run"), ({"day": date(2011, 11, 27)}, "of another business_date")],
)
def test_rows_of_another_run_or_date_are_refused(shop: Any, given: dict[str, Any], fault: str) -> None:
    """Files of a dead run or of yesterday cannot slip into tonight's load."""
    scores, population = shop.files({"a": 0.1}, **given)
    epoch = shop.publications.claim("shop")
    with pytest.raises(DataRefusedError, match=fault):
        build_load(shop.publications, shop.request(scores, population), epoch=epoch, now=NOW)


def test_partition_columns_may_stand_in_the_path_only(shop: Any) -> None:
    """Delta leaves partition columns out of its files; date and run are read from the folder names."""
    folder = shop.folder / "business_date=2011-11-28" / "run_id=007"
    folder.mkdir(parents=True)
    scores, population = shop.files({"a": 0.1}, run_id="007")
    with duckdb.connect() as connection:
        connection.execute("SET VARIABLE source = ?", [str(scores[0]).replace("[", "[[]").replace(" *", " [*]")])
        connection.execute("SET VARIABLE target = ?", [str(folder / "part.parquet")])
        connection.execute(
            "COPY (SELECT * EXCLUDE (business_date, run_id) FROM read_parquet(getvariable('source')))"
            " TO (getvariable('target')) (FORMAT parquet)"
        )
    epoch = shop.publications.claim("shop")
    request = shop.request([folder / "part.parquet"], population, run_id="007")
    assert build_load(shop.publications, request, epoch=epoch, now=NOW).customers_scored == 1


def test_documents_are_shown_with_their_night(shop: Any) -> None:
    """Counts and definitions travel with the load; contract, date and run are filled in."""
    documents = {
        "run_quality": [{"kind": "count", "source": "invoices", "name": "raw", "observed": "3330"}],
        "models": [{"model_version": 1, "is_champion": True, "auc": 0.73, "created_at": NOW, "trained_through": DAY}],
        "definition": [{"position": 1, "topic": "churn", "value": "it's 30 days"}],
        "data_dictionary": [{"table_name": "features", "column_name": "spend_90d", "position": 1}],
    }
    shop.publish({"a": 0.1}, facts={"documents": documents})
    assert shop.rows("SELECT contract, business_date, run_id, observed, passed FROM churn.run_quality") == [
        ("shop", DAY, "run-1", "3330", None)
    ]
    assert shop.rows("SELECT auc, created_at, trained_through FROM churn_shop.models") == [(0.73, NOW, DAY)]
    assert shop.rows("SELECT value FROM churn.definition") == [("it's 30 days",)]
    assert shop.rows("SELECT contract FROM churn_shop.data_dictionary WHERE table_name = 'features'") == [("shop",)]


DELIVERY = {"source": "orders", "delivery_id": "d1", "kind": "file", "slot": DAY, "known_date": DAY, "raw": 7}
REASON = {"source": "orders", "delivery_id": "d1", "bucket": "ignored", "reason": "anonymous", "rows": 2}
TOLD = "SELECT business_date, delivery_id, raw FROM churn.deliveries ORDER BY business_date, delivery_id"


def test_what_a_night_took_in_is_told_with_its_reasons(shop: Any) -> None:
    """Also by the contract's own views; a column that is left out is null."""
    shop.publish({"a": 0.1}, facts={"documents": {"deliveries": [DELIVERY], "quarantine_reasons": [REASON]}})

    assert shop.rows("SELECT run_id, slot, raw, corrects FROM churn_shop.deliveries") == [("run-1", DAY, 7, None)]
    assert shop.rows("SELECT bucket, reason, rows FROM churn_shop.quarantine_reasons") == [("ignored", "anonymous", 2)]


def test_a_load_of_an_older_version_tells_no_deliveries_and_lacks_new_columns(shop: Any) -> None:
    """It was made before those documents were, and is read all the same beside a newer one."""
    shop.publish({"a": 0.1}, facts={"documents": {"run_quality": [{"kind": "count", "name": "raw", "observed": "1"}]}})
    with shop.publications.writing() as connection:
        (text,) = connection.execute("SELECT rows FROM document WHERE table_name = 'run_quality'").fetchone()
        old = text.replace(', "delivery_id": null', "")
        assert old != text
        connection.execute("UPDATE document SET rows = ? WHERE table_name = 'run_quality'", (old,))
    newer = DAY + timedelta(days=1)
    shop.publish({"a": 0.1}, day=newer, run_id="run-2", facts={"documents": {"deliveries": [DELIVERY]}})

    assert shop.rows("SELECT observed, delivery_id FROM churn.run_quality") == [("1", None)]
    assert shop.rows(TOLD) == [(newer, "d1", 7)]


def test_a_withdrawn_night_still_tells_what_it_took_in(shop: Any) -> None:
    """The lake keeps those rows, so the account keeps them; a restatement takes the place of what it restates."""
    shop.publish({"a": 0.1}, facts={"documents": {"deliveries": [DELIVERY]}})
    with shop.publications.writing() as connection:
        connection.execute("UPDATE current SET state = 'withdrawn', load_id = NULL")
        connection.execute("UPDATE generation SET number = number + 1")
    shop.show()
    assert shop.rows(TOLD) == [(DAY, "d1", 7)]
    assert shop.publications.newest_before("shop", DAY + timedelta(days=1)) == DAY
    assert shop.publications.newest_before("shop", DAY) is None

    restated = {"deliveries": [DELIVERY | {"raw": 8}, DELIVERY | {"delivery_id": "d2"}]}
    shop.publish({"a": 0.1}, run_id="run-2", facts={"documents": restated})
    assert shop.rows(TOLD) == [(DAY, "d1", 8), (DAY, "d2", 7)]


def test_a_column_is_described_once_however_many_loads_carry_the_dictionary(shop: Any) -> None:
    """Loads of two contracts that bring the warehouse's own columns along do not double them."""
    documents = {"data_dictionary": data_dictionary(WAREHOUSE.values())}
    for contract in ("gym", "shop"):
        shop.publish({"a": 0.1}, contract=contract, run_id=contract, facts={"documents": documents})
    columns = sum(len(table.columns) for table in WAREHOUSE.values())
    assert shop.rows("SELECT count(*), count(DISTINCT (table_name, column_name)) FROM churn.data_dictionary") == [
        (columns, columns)
    ]


def test_a_document_with_an_unknown_column_is_refused_before_anything_is_written(shop: Any) -> None:
    """A typo in a column's name is not dropped in silence."""
    for documents in ({"models": [{"acu": 0.7}]}, {"modles": []}):
        with pytest.raises(UsageError):
            build_load(shop.publications, shop.request([], [], documents=documents), epoch=1, now=NOW)


def test_files_must_be_named_absolutely_and_exist(shop: Any) -> None:
    """A load is never made from whatever a relative path or a pattern happens to mean."""
    epoch = shop.publications.claim("shop")
    for wrong in ("scores.parquet", f"{shop.folder}/*.parquet"):
        with pytest.raises(UsageError, match="absolute paths of files that exist"):
            build_load(shop.publications, shop.request([wrong], []), epoch=epoch, now=NOW)


nasty = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
) | st.sampled_from(
    [
        "'; DROP TABLE load; --",
        "../../../etc/passwd",
        "/etc/passwd",
        "%s{value}",
        '"',
        "a'b",
        "\\",
        "*",
        "007",
        "{}",
        "$1",
    ]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(nasty, min_size=1, max_size=5, unique=True), run_id=nasty, reason=nasty, phrase=nasty)
def test_p15_no_text_from_data_is_ever_sql_or_a_path(
    shop: Any, ids: list[str], run_id: str, reason: str, phrase: str
) -> None:
    """Ids, run ids, reasons, wordings and documents come back as they went in, and make no file elsewhere."""
    day = (shop.publications.newest("shop") or DAY) + timedelta(days=1)
    scores, population = shop.files(dict.fromkeys(ids, 0.5), day=day, run_id="file")
    epoch = shop.publications.claim("shop")
    documents = {"definition": [{"position": 1, "topic": reason, "value": phrase}]}
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT * FROM read_parquet(?)", [_exact(scores[0])])
        connection.execute(
            "UPDATE t SET run_id = ?, reason_1_feature = ?, reason_1_level = ?, reason_1_direction = 'raises'",
            [run_id, reason, phrase],
        )
        connection.execute("SET VARIABLE target = ?", [str(scores[0])])
        connection.execute("COPY t TO (getvariable('target')) (FORMAT parquet)")
    request = shop.request(
        scores, population, day=day, run_id=run_id, wording={reason: (phrase, 0)}, documents=documents
    )
    load = build_load(shop.publications, request, epoch=epoch, now=NOW)
    shop.publications.publish(
        load.load_id, epoch=epoch, seen=None, fingerprint=reason, actor=phrase, reason=reason, now=NOW
    )
    shop.show()
    rows = shop.rows("SELECT customer_id, run_id, reason_1_feature, reason_1_text FROM churn.scores_latest")
    text = f"Raises {LEAD}{phrase.replace('{value}', phrase)}."
    assert sorted(rows) == sorted((name, run_id, reason, text) for name in ids)
    assert shop.rows("SELECT topic, value FROM churn.definition") == [(reason, phrase)]
    own = {".creating", "generations", "scores", "warehouse.duckdb"}
    database = {f"publications.sqlite{suffix}" for suffix in ("", "-shm", "-wal")}
    assert {path.name for path in shop.publications.root.iterdir()} <= own | database


def _exact(path: Any) -> str:
    return str(path).replace("[", "[[]").replace(" *", " [*]")
