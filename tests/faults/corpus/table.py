"""All recipes, and the table of them that docs/corruption.md holds."""

from collections.abc import Mapping
from pathlib import Path

from tests.faults.corpus import days, formats, headers, lines
from tests.faults.corpus.delivery import DAY, Day, Recipe

PAGE = Path(__file__).resolve().parents[3] / "docs" / "corruption.md"
KINDS = {
    "Headers": headers.RECIPES,
    "Files and formats": formats.RECIPES,
    "Rows": lines.RECIPES,
    "Days": days.RECIPES,
}
RECIPES: tuple[Recipe, ...] = tuple(recipe for recipes in KINDS.values() for recipe in recipes)
WRITE = "WRITE_CORRUPTION_TABLE"
CLEAN = Day.read(DAY)
HEAD = f"""# What happens to bad deliveries

{len(RECIPES)} ways in which a delivery goes wrong, each made from a real day of Online Retail
({DAY}: {len(CLEAN.rows):,} rows), and what must come of it. The outcome is stated beside the recipe, in
`tests/faults/corpus/`, before the code that meets it; `tests/faults/test_corpus.py` holds every one.

- `stops`: exit code 3, the words stand in the message, nothing is published, last night's scores stay.
- `quarantines`: so many rows more than of the clean day are set aside, for that reason first; the rest is scored.
- `ignores`, `drops duplicates`: so many rows more than of the clean day.
- `corrects`: facts withdrawn and added, known from tonight; all others are unchanged.
- `warns`: the night goes on and shows a failed check of that name.
- `accepts`: every row ends where the row of the clean file does.

The last column is what was observed. The table is written by the test itself when the variable {WRITE} is set:
`{WRITE}=1 python -m pytest tests/faults/test_corpus.py`; without it the test holds the page to be the same.
"""


def page(observed: Mapping[str, str]) -> str:
    """The page as it must be; `observed` tells by recipe what came of it."""
    parts = [HEAD]
    for kind, recipes in KINDS.items():
        parts.append(f"\n## {kind}\n\n| recipe | comes | stated | why | observed |\n|---|---|---|---|---|\n")
        parts += [f"| {' | '.join(map(_cell, _row(one, observed)))} |\n" for one in recipes]
    return "".join(parts)


def _row(recipe: Recipe, observed: Mapping[str, str]) -> tuple[str, ...]:
    return (recipe.name, recipe.moment, str(recipe.outcome), recipe.why, observed.get(recipe.name, ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
