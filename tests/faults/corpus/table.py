"""All recipes, and the table of them that docs/corruption.md holds."""

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

This page is written from the recipes: `python -m tests.faults.corpus.table` writes it again.
"""


def page() -> str:
    """The page as it must be."""
    parts = [HEAD]
    for kind, recipes in KINDS.items():
        parts.append(f"\n## {kind}\n\n| recipe | comes | outcome | why |\n|---|---|---|---|\n")
        parts += [f"| {one.name} | {one.moment} | {one.outcome} | {one.why} |\n" for one in recipes]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
