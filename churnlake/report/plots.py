"""The picture on a page: SVG text that stands in the page itself and takes its colours from the page's style."""

import io
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

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
