"""The pictures on a page: SVG text that stands in the page itself and takes its colours from the page's style."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from churnlake.report.account import Arrival, Value
from churnlake.report.night import Band, Bin

# Stand-ins that no drawing uses otherwise; each becomes a colour of the style sheet, so that light and dark both fit.
TONIGHT, BEFORE, INK, FAINT = "#010101", "#020202", "#030303", "#040404"
COLOURS = {TONIGHT: "var(--tonight)", BEFORE: "var(--before)", INK: "var(--ink-soft)", FAINT: "var(--line)"}


def histogram(bins: Sequence[Bin], bands: Sequence[Band], unit: str) -> Markup:
    """How many customers have which probability: tonight as bars, the night before as an outline, bands as marks."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    style: Any = {
        "svg.fonttype": "none",  # text stays text: it can be read aloud and takes the page's font
        "svg.hashsalt": "churnlake",  # names of clip paths are the same run after run
        "text.parse_math": False,  # a dollar in a band's name is a dollar
        "font.size": 9.5,
        "text.color": INK,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
    }
    with mpl.rc_context(style):
        # Narrow on purpose: shown at about its own size on a desk, still readable when a telephone shrinks it.
        figure = Figure(figsize=(4.7, 2.9), layout="constrained")
        canvas: Any = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _draw(axes, bins, bands)
        axes.set(xlim=(0, 1), xlabel="churn probability", ylabel=f"{unit}s")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        drawn = io.StringIO()
        canvas.print_svg(drawn, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _in_page(drawn.getvalue())


def _draw(axes: Any, bins: Sequence[Bin], bands: Sequence[Band]) -> None:
    edges = [one.low for one in bins] + [bins[-1].high]
    widths = [one.high - one.low for one in bins]
    axes.bar(
        edges[:-1], [one.tonight for one in bins], width=[0.88 * width for width in widths], align="edge", color=TONIGHT
    )
    before = [one.before for one in bins if one.before is not None]
    if before:
        axes.stairs(before, edges, color=BEFORE, linewidth=1.5)
    top = max([*(one.tonight for one in bins), *before, 1])
    axes.set_ylim(0, top * 1.16)
    # The last band begins at the lowest probability there is, which needs no mark.
    for height, band in zip((1.15, 1.08, 1.01), bands[:-1], strict=False):
        axes.vlines(band.lowest, 0, top * height, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        label = f"{band.name} from {band.lowest:.0%} "
        axes.text(band.lowest, top * height, label, ha="right", va="top", fontsize=9)


def _in_page(svg: str) -> Markup:
    """The drawing without what only a file needs, coloured by the page."""
    body = svg[svg.index("<svg") :]
    # Its style rule would reach beyond the picture; the page's own sheet says the same for the picture alone.
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" focusable="false">', body, count=1)
    for stand_in, colour in COLOURS.items():
        body = body.replace(stand_in, colour)
    # Matplotlib escapes every text it writes, so the drawing is markup and nothing in it came as such.
    return Markup(body)  # noqa: S704


# Drawn narrow, so that words stay readable when a telephone shrinks the picture.
_WIDTH, _LEFT, _BARS, _GAP, _SHARES, _FOOT = 360, 44, 100, 16, 34, 16
_HEIGHT = _BARS + _GAP + _SHARES + _FOOT + 8
_TOP = 8
_MARKED_DAYS = 14
_LONGEST_STEP = timedelta(days=4)
"""A line does not run over more days than a long weekend without a file."""


def daily_rows(days: Mapping[date, Arrival], first: date, last: date) -> Markup:
    """Rows of each day as bars, what was set aside on top of them, and below the share that it is.

    Every day has its place, so that days without a file are gaps.
    """
    span = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    most = max([*(one.raw or 0 for one in days.values()), 1])
    shares = {day: one.aside / one.raw for day, one in days.items() if one.raw}
    peak = max([*shares.values(), 0.01])
    step = (_WIDTH - _LEFT) / len(span)
    parts = [*_frame(most, peak)]
    for place, day in enumerate(span):
        parts.append(_day(days.get(day), day, _LEFT + place * step, step, most))
    middle = {day: (_LEFT + (place + 0.5) * step, day) for place, day in enumerate(span)}
    points = [
        (middle[day][0], _TOP + _BARS + _GAP + _SHARES * (1 - share / peak), day)
        for day, share in sorted(shares.items())
        if day in middle
    ]
    parts += _line(points, "aside-line")
    parts += [
        _text(middle[day][0], _HEIGHT - 4, f"{day:%d %b}", _anchor(place, len(span)))
        for place, day in enumerate(span)
        if (len(span) - 1 - place) % _MARKED_DAYS == 0
    ]
    return _svg(_WIDTH, _HEIGHT, parts)


def course(values: Sequence[Value], first: date, last: date) -> Markup:
    """One number over the days, from its lowest to its highest value; the newest is marked. Has no words of its own."""
    width, height, edge = 160, 52, 5
    low, high = min(one.value for one in values), max(one.value for one in values)
    reach = (high - low) or 1
    days = max((last - first).days, 1)
    points = [
        (
            edge + (width - 2 * edge) * (one.slot - first).days / days,
            edge + (height - 2 * edge) * (1 - (one.value - low) / reach if high > low else 0.5),
            one.slot,
        )
        for one in values
    ]
    across, down, _ = points[-1]
    dot = Markup('<circle class="newest" cx="{:.1f}" cy="{:.1f}" r="3.4"/>').format(across, down)
    return _svg(width, height, [*_line(points, "course"), dot])


def _frame(most: int, peak: float) -> Iterator[Markup]:
    floor, below = _TOP + _BARS, _TOP + _BARS + _GAP
    for down, words in (
        (_TOP, in_short(most)),
        (floor, "0"),
        (below, f"{peak:.1%}" if peak < _TENTH else f"{peak:.0%}"),
        (below + _SHARES, "0"),
    ):
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, _WIDTH, down, down)
        yield _text(_LEFT - 4, down + 3, words, "end")


_TENTH = 0.1


def _day(one: Arrival | None, day: date, left: float, step: float, most: int) -> Markup:
    floor = _TOP + _BARS
    if one is None or one.raw is None:
        return Markup(
            '<rect class="no-file" x="{:.2f}" y="{}" width="{:.2f}" height="3"><title>{}</title></rect>'
        ).format(left + step * 0.3, floor, step * 0.4, f"{day:%A} {day}: no file")
    whole, aside = _BARS * one.raw / most, _BARS * one.aside / most
    told = f"{day:%A} {day}: {one.raw:,} rows, {one.aside:,} set aside"
    return Markup(
        '<g><title>{0}</title><rect class="b-accepted" x="{1:.2f}" y="{2:.2f}" width="{3:.2f}" height="{4:.2f}"/>'
        '<rect class="b-quarantined" x="{1:.2f}" y="{5:.2f}" width="{3:.2f}" height="{6:.2f}"/></g>'
    ).format(told, left + step * 0.1, floor - whole + aside, step * 0.8, whole - aside, floor - whole, aside)


def _line(points: Sequence[tuple[float, float, date]], name: str) -> Iterator[Markup]:
    """Neighbouring days joined, with a dot for each: a lone day is seen too."""
    for before, after in pairwise(points):
        if after[2] - before[2] <= _LONGEST_STEP:
            yield Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
                name, before[0], before[1], after[0], after[1]
            )
    for across, down, _ in points:
        yield Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="1.3"/>').format(name, across, down)


def _anchor(place: int, places: int) -> str:
    return "end" if place == places - 1 else ("start" if place == 0 else "middle")


def _text(across: float, down: float, words: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(across, down, anchor, words)


def _svg(width: int, height: int, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="drawn" viewBox="0 0 {} {}" focusable="false">').format(width, height)
    return head + Markup("").join(parts) + Markup("</svg>")


def in_short(number: int) -> str:
    """A count in at most six characters: 940, 12.5 k, 3.2 M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if number >= size:
            scaled = number / (1_000 if letter == "k" else size)
            return f"{scaled:.1f} {letter}" if scaled < 100 else f"{scaled:.0f} {letter}"
    return f"{number:,}"
