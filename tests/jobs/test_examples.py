"""The examples: what each contract makes of its data, on cuts small enough to follow by hand.

Two of the data sets may not be in the repository. Their cuts are made up in the form of the real files, with the same
oddities: leading blanks, ids with leading zeros, days counted from the start of a course, marks for what is missing.
"""

import gzip
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract import Contract, load_contract
from churnlake.ledger import Ledger
from churnlake.settings import Settings
from jobs import night
from jobs.attributes import attributes_at
from jobs.content import Tiles, required
from jobs.labels import labels_at
from jobs.lake import ReadOnlyLake
from jobs.population import population_at
from jobs.snapshot import read_tiles, tile_versions

EXAMPLES = Path(__file__).parents[2] / "examples"

CDNOW = """\
 customer_id date number_of_cds dollar_value
 00001 19970101  1   11.77
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00003 19970102  2   20.76
 00003 19980101  2   19.54
 00004 19970101  2   29.33
 00004 19980630  1   14.96
 00005 19970325  3    0.00
 00005 19970325  3    0.00
"""

COURSES = '"code_module","code_presentation","module_presentation_length"\n"AAA","2013J","268"\n'
PAGES = (
    '"id_site","code_module","code_presentation","activity_type","week_from","week_to"\n'
    '"546943","AAA","2013J","resource","?","?"\n'
)
ASSESSMENTS = (
    '"code_module","code_presentation","id_assessment","assessment_type","date","weight"\n'
    '"AAA","2013J","1752","TMA","19","10"\n'
)
REGISTRATIONS = """\
"code_module","code_presentation","id_student","date_registration","date_unregistration"
"AAA","2013J","11391","-159","?"
"AAA","2013J","left before","-92","12"
"AAA","2013J","next day","-52","31"
"AAA","2013J","last day","-52","60"
"AAA","2013J","a day later","-52","61"
"AAA","2013J","no start","?","?"
"AAA","2013J","before the first day","-5","-2"
"AAA","2013J","comes later","40","?"
"""
STUDENTS = (
    '"code_module","code_presentation","id_student","gender","region","highest_education","imd_band","age_band",'
    '"num_of_prev_attempts","studied_credits","disability","final_result"\n'
    '"AAA","2013J","11391","M","Wales","HE Qualification","10-20","55<=","0","240","N","Pass"\n'
)
SUBMISSIONS = "id_assessment,id_student,date_submitted,is_banked,score\n1752,11391,18,0,78\n1752,30268,-1,1,60\n"
TELCO_LINES = 60


def clicks(*days: int) -> pd.DataFrame:
    """Clicks of the student who stays, with whole numbers of four bytes as in the real files."""
    named = pd.DataFrame({"code_module": "AAA", "code_presentation": "2013J"}, index=range(len(days)))
    whole = pd.DataFrame({"id_student": 11391, "id_site": 546943, "date": days, "sum_click": 4}, dtype="int32")
    return pd.concat([named, whole], axis=1)


class Told(NamedTuple):
    """An example with its cut taken in."""

    contract: Contract
    tiles: Tiles
    counts: Mapping[str, Mapping[str, Any]]

    def population(self, day: date) -> dict[str, str | None]:
        """Why each customer is not scored on a date; None for those who are."""
        rows = population_at(self.tiles, self.contract, [day]).collect()
        return {row["customer_id"]: row["reason"] for row in rows}

    def labels(self, day: date) -> dict[str, int]:
        """Who churned (1) and who stayed (0), as known when the date matured."""
        matured = calendar.matures_on(day, self.contract.churn.maturity_days)
        rows = labels_at(self.tiles, self.contract, {day: matured}).collect()
        return {row["customer_id"]: row["is_churned"] for row in rows}


Tell = Callable[[str, Mapping[str, str | bytes | pd.DataFrame]], Told]


@pytest.fixture
def tell(spark: SparkSession, tmp_path: Path) -> Tell:
    """Takes a cut of an example's data in, as its history."""

    def tell(example: str, files: Mapping[str, str | bytes | pd.DataFrame]) -> Told:
        folder = tmp_path / example
        shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("data"))
        (folder / "data").mkdir()
        for name, content in files.items():
            place = folder / "data" / name
            if isinstance(content, pd.DataFrame):
                content.to_parquet(place, index=False)
            else:
                place.write_bytes(content if isinstance(content, bytes) else gzip.compress(content.encode()))
        contract = load_contract(folder / "contract.toml")
        settings = Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "home")})
        through = max(source.through for source in contract.sources.values() if source.through)
        night.run(night.Request(contract.path, "history", (), history_through=through), settings)
        lake = ReadOnlyLake(spark, settings.lake(contract.name))
        deliveries = Ledger.open(settings.ledger_url).deliveries(contract.name)
        return Told(contract, read_tiles(lake, tile_versions(lake)), {one.source: one.counts for one in deliveries})

    return tell


def test_cdnow_scores_the_whole_cohort_and_loses_who_buys_nothing_for_half_a_year(tell: Tell) -> None:
    """Orders on the last day of the half year keep a customer, the day after not; two equal orders are two."""
    cdnow = tell("cdnow", {"CDNOW_master.txt.gz": CDNOW})
    newest = date(1997, 12, 31)
    assert cdnow.population(newest) == dict.fromkeys(["00001", "00002", "00003", "00004", "00005"])
    assert cdnow.population(date(1998, 12, 31))["00001"] is None
    assert cdnow.population(date(1999, 1, 1))["00001"] == "inactive"
    assert cdnow.labels(newest) == {"00001": 1, "00002": 1, "00003": 0, "00004": 1, "00005": 1}
    assert cdnow.counts["orders"]["accepted"] == 9
    [spent] = (
        required(cdnow.tiles.daily_activity)
        .filter("customer_id = '00002'")
        .select("events", "amount", "discs")
        .collect()
    )
    assert tuple(spent) == (2, 8900, 6)


def test_oulad_scores_who_is_registered_and_loses_who_withdraws(tell: Tell) -> None:
    """The horizon's last day counts, the day after not; who never began, or left before, is no case of churn."""
    oulad = tell(
        "oulad_2013",
        {
            "courses.csv.gz": COURSES,
            "vle.csv.gz": PAGES,
            "assessments.csv.gz": ASSESSMENTS,
            "studentRegistration.csv.gz": REGISTRATIONS,
            "studentInfo.csv.gz": STUDENTS,
            "studentAssessment.csv.gz": SUBMISSIONS,
            "studentVle_2013J.parquet": clicks(-10, 0, 30, 31),
        },
    )
    day = date(2013, 10, 31)
    assert {who.removeprefix("AAA/2013J/"): why for who, why in oulad.population(day).items()} == {
        "11391": None,
        "next day": None,
        "last day": None,
        "a day later": None,
        "left before": "ended",
        "no start": "missing_start",
        "before the first day": "never_started",
    }  # who registers later is not known yet
    assert {who.removeprefix("AAA/2013J/"): churned for who, churned in oulad.labels(day).items()} == {
        "11391": 0,
        "next day": 1,
        "last day": 1,
        "a day later": 0,
    }
    assert oulad.counts["submissions"]["ignored"] == {"banked": 1}


def test_telco_scores_everybody_and_reads_the_outcome_apart(tell: Tell) -> None:
    """No outcome becomes an attribute; who has no bill yet has no total."""
    lines = gzip.decompress((EXAMPLES / "telco/data/Telco-Customer-Churn.csv.gz").read_bytes()).decode().splitlines()
    unbilled = next(line for line in lines[TELCO_LINES:] if ", ," in line)
    cut = "\n".join([*lines[:TELCO_LINES], unbilled]) + "\n"
    telco = tell("telco", {"Telco-Customer-Churn.csv.gz": cut})
    day = date(2018, 1, 31)
    assert set(telco.population(day).values()) == {None}
    churned = {line.split(",")[0]: int(line.endswith("Yes")) for line in cut.splitlines()[1:]}
    assert telco.labels(day) == churned
    assert "Churn" not in telco.contract.attributes
    told = attributes_at(required(telco.tiles.attributes), telco.contract, [day])
    [known] = told.filter(F.col("customer_id") == unbilled.split(",")[0]).collect()
    assert (known["months"], known["total_charges"], float(known["monthly_charges"])) == (0, None, 52.55)
