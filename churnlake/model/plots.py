"""The pictures kept with a model: calibration, gain, ROC, coefficients by family. PNG, drawn without a display."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from churnlake.model.evaluate import reliability_bins
from churnlake.model.plan import ScoringPlan

LEVELS_SHOWN = 8


def draw_plots(plan: ScoringPlan, probability: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, bytes]:
    """PNG bytes by file name, for float64[n] test probabilities and what happened."""
    return {
        "calibration.png": _png(lambda axes: _calibration(axes, probability, labels)),
        "gain.png": _png(lambda axes: _gain(axes, probability, labels)),
        "roc.png": _png(lambda axes: _roc(axes, probability, labels)),
        "coefficients.png": _png(lambda axes: _coefficients(axes, plan), (9, max(4, 0.2 * len(_bars(plan))))),
    }


def _png(draw: Callable[[Axes], None], size: tuple[float, float] = (6, 5)) -> bytes:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    image = BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return image.getvalue()


def _calibration(axes: Axes, probability: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    bins = reliability_bins(probability, labels)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    axes.plot([predicted for predicted, _, _ in bins], [observed for _, observed, _ in bins], marker="o", label="model")
    axes.set(title="Calibration, test cutoffs", xlabel="predicted probability", ylabel="observed rate")
    axes.legend()


def _gain(axes: Axes, probability: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    found = np.concatenate([[0.0], np.cumsum(labels[np.argsort(-probability, kind="stable")]) / labels.sum()])
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="at random")
    axes.plot(np.linspace(0, 1, len(found)), found, label="model")
    axes.set(title="Gain, test cutoffs", xlabel="share of customers, riskiest first", ylabel="share of churners found")
    axes.legend()


def _roc(axes: Axes, probability: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    ordered = labels[np.argsort(-probability, kind="stable")]
    found = np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])
    alarmed = np.concatenate([[0.0], np.cumsum(1 - ordered) / (1 - ordered).sum()])
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="at random")
    axes.plot(alarmed, found, label="model")
    axes.set(title="ROC, test cutoffs", xlabel="share of stayers flagged", ylabel="share of churners flagged")
    axes.legend()


def _coefficients(axes: Axes, plan: ScoringPlan) -> None:
    bars = _bars(plan)
    families = list(dict.fromkeys(family for family, _, _ in bars))
    colours = {family: f"C{position % 10}" for position, family in enumerate(families)}
    bars.sort(key=lambda bar: (families.index(bar[0]), bar[2]))
    axes.barh([name for _, name, _ in bars], [size for _, _, size in bars], color=[colours[bar[0]] for bar in bars])
    for family in families:
        axes.barh([], [], color=colours[family], label=family)
    axes.tick_params(axis="y", labelsize=7)
    axes.set(
        title="Coefficients by family",
        xlabel="log-odds per standard deviation; of a level, against the average customer",
    )
    axes.legend()


def _bars(plan: ScoringPlan) -> list[tuple[str, str, float]]:
    """(family, name, log-odds) of every number, and of the levels of every category that move the estimate most."""
    bars = [(term.family, term.name, term.weight) for term in plan.terms]
    for term in plan.categories:
        moved = zip(term.levels, (share - term.usual for share in term.shares), strict=True)
        furthest = sorted(moved, key=lambda level: -abs(level[1]))[:LEVELS_SHOWN]
        bars += [(term.family, f"{term.name}: {level}", size) for level, size in furthest]
    return bars
