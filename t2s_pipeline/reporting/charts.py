"""Charts of scores and of training, drawn by matplotlib without pyplot and so without a display.

``svg`` makes a chart part of a page: its inks become the page's own CSS colours, so it follows the
reader's dark or light setting. ``raster`` is the same chart as a picture, for places that only show pictures.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, FAINT, GRID = "#1c2733", "#5d6b78", "#d3dae0"
SERIES = ("#1f66c2", "#b3540a", "#14825f", "#8a3fa0", "#a8801d", "#64717d")
"""Told apart with any colour vision, and at 4.5 : 1 or better on white: blue is the trained system, orange its base."""

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.parse_math": False,  # a run may be called `$x$`
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
    """A value in percent with its 95 % interval, drawn in ``SERIES[series]``."""

    label: str
    value: float
    low: float
    high: float
    series: int


def interval_chart(estimates: Sequence[PlottedEstimate], axis: str) -> Figure:
    """Dot and whiskers, one line an estimate, the first on top, its number beside it."""
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
    """How GRPO went: reward, each of its parts, valid share, KL and the share of groups that teach nothing.

    Args:
        runs: rows of ``training_log`` in the order of their steps, by run.
        series: the colour of each run, an index into ``SERIES``.

    Each run is a thin line of its steps under a thick one of their running mean over ``smoothing(steps)`` steps.
    """
    parts = sorted({name for log in runs.values() for row in _column(log, "reward_parts") for name, _ in row or ()})
    curves = {"Reward, all parts weighted": lambda log: _numbers(_column(log, "reward"))}
    for name in parts:
        title = f"Reward part: {name.replace('_', ' ').replace('iou', 'IoU')}"
        curves[title] = lambda log, key=name: _numbers(dict(row or ()).get(key) for row in _column(log, "reward_parts"))
    curves["Completions that parse"] = lambda log: _numbers(_column(log, "valid_share"))
    curves["KL to the base"] = lambda log: _numbers(_column(log, "kl"))
    curves["Groups with equal rewards"] = lambda log: _numbers(_column(log, "zero_variance_share"))
    shares = {"Completions that parse", "Groups with equal rewards"}
    with matplotlib.rc_context(_STYLE):
        rows = -(-len(curves) // columns)
        figure = _figure(3.55 * columns, 2.15 * rows)
        for position, (title, values_of) in enumerate(curves.items(), start=1):
            axes = figure.add_subplot(rows, columns, position)
            for run, log in runs.items():
                _curve(axes, _numbers(_column(log, "step")), values_of(log), SERIES[series[run] % len(SERIES)])
            axes.set_title(title)
            axes.margins(x=0.02)
            axes.set_ylim(*((-0.04, 1.04) if title in shares else _reach(axes)))
            if position > len(curves) - columns:
                axes.set_xlabel("optimizer step")
    return figure


def smoothing(steps: int) -> int:
    """Steps in the running mean: a tenth of the run."""
    return max(1, steps // 10)


def svg(figure: Figure, name: str) -> str:
    """The chart as an ``<svg>`` element to be put inside a page.

    ``name`` tells its inner ids from those of the page's other charts. The page's style gives the colours
    ``--ink``, ``--faint``, ``--grid`` and ``--series-0`` onward; text takes the page's font.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": None}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    inks = {INK: "ink", FAINT: "faint", GRID: "grid"}
    inks |= {colour: f"series-{index}" for index, colour in enumerate(SERIES)}
    for colour, variable in inks.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    text = re.sub(r"(font: [^;\"]*?[\d.]+px) [^;\"]*", r"\1 var(--font)", text)
    return re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", text))


def raster(figure: Figure, dpi: int = 110) -> Image.Image:
    """The chart as a picture on white."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _figure(width: float, height: float) -> Figure:
    # Not pyplot's: that one would keep every figure alive.
    return Figure(figsize=(width, height), layout="constrained")


def _column(log: pa.Table, name: str) -> list:
    return log.column(name).to_pylist()


def _numbers(values) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _reach(axes: Axes) -> tuple[float, float]:
    """Limits around every value drawn, never so narrow that a constant's rounding errors look like news."""
    values = np.concatenate([line.get_ydata() for line in axes.lines]) if axes.lines else np.array([0.0])
    low, high = float(values.min()), float(values.max())
    margin = max(0.08 * (high - low), 0.02 * max(abs(low), abs(high)), 1e-6)
    return low - margin, high + margin


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str) -> None:
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    if not steps.size:
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.4)
    window = smoothing(steps.size)
    # The mean of the last `window` steps, and of those there are at the start.
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, values.size + 1)
    start = np.maximum(0, end - window)
    axes.plot(steps, (total[end] - total[start]) / (end - start), color=colour, linewidth=2)
