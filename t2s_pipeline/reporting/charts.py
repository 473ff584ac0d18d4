"""Charts of scores and of training, rendered by matplotlib without pyplot, and so without a display.

``svg`` makes a chart part of a page: its colours become the CSS colours of the page, so it follows the dark or light
setting of the reader. ``raster`` makes a picture of the same chart, for places that show pictures only.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

INK, FAINT, GRID = "#1c2733", "#5d6b78", "#d3dae0"
SERIES = ("#1f66c2", "#b3540a", "#14825f", "#8a3fa0", "#a8801d", "#64717d")
"""Colours of systems. People with any colour vision can distinguish them, and their contrast on white is at least
4.5 : 1. Blue is the trained system, orange its base."""

_STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.parse_math": False,  # the name of a run can be `$x$`
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class PlottedEstimate:
    """A value in percent with its 95 % interval, in the colour ``SERIES[series]``."""

    label: str
    value: float
    low: float
    high: float
    series: int


def interval_chart(estimates: Sequence[PlottedEstimate], axis: str) -> Figure:
    """One line per estimate with a dot, whiskers and the number. The first estimate is at the top.

    Args:
        estimates: at least one.
        axis: the label of the horizontal axis.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.2, 0.62 + 0.36 * len(estimates))
        axes = figure.add_subplot()
        for row, item in enumerate(estimates):
            colour = SERIES[item.series % len(SERIES)]
            axes.plot([item.low, item.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([item.low, item.high], [row, row], "|", color=colour, markersize=9, markeredgewidth=2)
            axes.plot(item.value, row, "o", color=colour, markersize=7)
            axes.annotate(
                f"{item.value:.1f}", (item.value, row), (0, 7), textcoords="offset points", ha="center", color=INK
            )
        axes.set_yticks(range(len(estimates)), [item.label for item in estimates])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(estimates) - 0.5, -0.85)
        low, high = min(item.low for item in estimates), max(item.high for item in estimates)
        margin = max(2.0, 0.12 * (high - low))
        axes.set_xlim(max(0.0, low - margin), min(100.0, high + margin))
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis)
    return figure


def training_chart(runs: Mapping[str, pa.Table], series: Mapping[str, int], columns: int = 3) -> Figure:
    """The course of GRPO: reward, each of its parts, valid share, KL, and the share of groups without a gradient.

    The thin line of a run shows its single steps. The thick line shows their running mean over ``smoothing(steps)``
    steps.

    Args:
        runs: rows of ``training_log`` in the order of their steps, by run.
        series: the colour of each run, an index into ``SERIES``.
        columns: the number of panels side by side.
    """
    curves = _curves(runs)
    shares = {"Completions that parse", "Groups with equal rewards"}
    with matplotlib.rc_context(_STYLE):
        rows = -(-len(curves) // columns)
        figure = _figure(3.55 * columns, 2.15 * rows)
        for position, (title, values) in enumerate(curves.items(), start=1):
            axes = figure.add_subplot(rows, columns, position)
            for run, log in runs.items():
                _plot(axes, _numbers(_column(log, "step")), values[run], SERIES[series[run] % len(SERIES)])
            axes.set_title(title)
            axes.margins(x=0.02)
            axes.set_ylim(*((-0.04, 1.04) if title in shares else _limits(axes)))
            if position > len(curves) - columns:
                axes.set_xlabel("optimizer step")
    return figure


def _curves(runs: Mapping[str, pa.Table]) -> dict[str, dict[str, Floats]]:
    """Title of a panel → run → the value of each step, NaN where there is none."""

    def column(name: str) -> dict[str, Floats]:
        return {run: _numbers(_column(log, name)) for run, log in runs.items()}

    curves = {"Reward, all parts weighted": column("reward")}
    rewards = {run: [dict(row or ()) for row in _column(log, "reward_parts")] for run, log in runs.items()}
    for part in sorted({name for rows in rewards.values() for row in rows for name in row}):
        title = f"Reward part: {part.replace('_', ' ').replace('iou', 'IoU')}"
        curves[title] = {run: _numbers(row.get(part) for row in rows) for run, rows in rewards.items()}
    curves["Completions that parse"] = column("valid_share")
    curves["KL to the base"] = column("kl")
    curves["Groups with equal rewards"] = column("zero_variance_share")
    return curves


def smoothing(steps: int) -> int:
    """The number of steps in the running mean: a tenth of the run."""
    return max(1, steps // 10)


def svg(figure: Figure, name: str) -> str:
    """The chart as an ``<svg>`` element for a page.

    The style of the page gives the colours ``--ink``, ``--faint``, ``--grid`` and ``--series-0`` onward, and the font.

    Args:
        figure: the chart.
        name: makes the ids inside the element differ from those of the page's other charts.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": None}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    variables = {INK: "ink", FAINT: "faint", GRID: "grid"}
    variables |= {colour: f"series-{index}" for index, colour in enumerate(SERIES)}
    for colour, variable in variables.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    text = re.sub(r"(font: [^;\"]*?[\d.]+px) [^;\"]*", r"\1 var(--font)", text)
    return re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", text))


def raster(figure: Figure, dpi: int = 110) -> Image.Image:
    """The chart as a picture on white, RGB."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib has no annotations here
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # nor here
    return Image.fromarray(pixels).convert("RGB")


def _figure(width: float, height: float) -> Figure:
    # Not a figure of pyplot: pyplot keeps every figure in memory.
    return Figure(figsize=(width, height), layout="constrained")


def _column(log: pa.Table, name: str) -> list[Any]:
    values: list[Any] = log.column(name).to_pylist()
    return values


def _numbers(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _limits(axes: Axes) -> tuple[float, float]:
    """Limits around every plotted value. They are wide enough to hide the rounding errors of a constant."""
    values = np.concatenate([np.asarray(line.get_ydata()) for line in axes.lines]) if axes.lines else np.array([0.0])
    low, high = float(values.min()), float(values.max())
    margin = max(0.08 * (high - low), 0.02 * max(abs(low), abs(high)), 1e-6)
    return low - margin, high + margin


def _plot(axes: Axes, steps: Floats, values: Floats, colour: str) -> None:
    """A run in one panel: a thin line of its values, and a thick one of their running mean."""
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    if not steps.size:
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.4)
    window = smoothing(steps.size)
    # The mean of the last `window` steps; at the start, of as many steps as there are.
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, values.size + 1)
    start = np.maximum(0, end - window)
    axes.plot(steps, (total[end] - total[start]) / (end - start), color=colour, linewidth=2)
