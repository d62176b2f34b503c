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


def draw_plots(plan: ScoringPlan, probability: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, bytes]:
    """PNG bytes by file name, for float64[n] test probabilities and what happened."""
    return {
        "calibration.png": _png(lambda axes: _calibration(axes, probability, labels)),
        "gain.png": _png(lambda axes: _gain(axes, probability, labels)),
        "roc.png": _png(lambda axes: _roc(axes, probability, labels)),
        "coefficients.png": _png(lambda axes: _coefficients(axes, plan), (9, max(4, 0.2 * len(plan.terms)))),
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
    families = list(dict.fromkeys(term.family for term in plan.terms))
    colours = {family: f"C{position % 10}" for position, family in enumerate(families)}
    terms = sorted(plan.terms, key=lambda term: (families.index(term.family), term.weight))
    axes.barh(
        [term.name for term in terms], [term.weight for term in terms], color=[colours[term.family] for term in terms]
    )
    for family in families:
        axes.barh([], [], color=colours[family], label=family)
    axes.tick_params(axis="y", labelsize=7)
    axes.set(title="Coefficients by family", xlabel="log-odds per standard deviation")
    axes.legend()
