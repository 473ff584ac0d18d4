"""Charts show the numbers they were given, follow the page's colours, and survive any name."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("matplotlib")

from t2s_pipeline.lake import schema, store
from t2s_pipeline.reporting.charts import SERIES, PlottedEstimate, interval_chart, raster, svg, training_chart
from tests.reporting import report_lake
from tests.reporting.report_lake import SYSTEM

pytestmark = pytest.mark.orchestrator


def intervals():
    return interval_chart(
        [PlottedEstimate("a $x$ <b>", 61.93, 54.8, 69.0, 0), PlottedEstimate("b", 25.3, 19, 31.6, 1)], "gIoU, %"
    )


def training(tmp_path, steps=40) -> pa.Table:
    report_lake.write_training(tmp_path, steps=steps)
    return store.read_partition(tmp_path, schema.TRAINING_LOG, {"run": SYSTEM})


def test_interval_chart_prints_values_and_spans_the_whiskers():
    figure = intervals()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["61.9", "25.3"]
    low, high = axes.get_xlim()
    assert 0 <= low < 19 and 69 < high <= 100


def test_svg_is_well_formed_and_takes_the_pages_colours():
    text = svg(intervals(), "x")
    ET.fromstring(text)
    assert "a $x$ &lt;b&gt;" in text
    assert "var(--series-0)" in text and "var(--ink)" in text and "var(--font)" in text
    assert not [colour for colour in SERIES if colour in text]
    assert re.search(r"https?://(?!www\.w3\.org)", text) is None


def test_two_charts_on_a_page_share_no_ids(tmp_path):
    ids = [
        set(re.findall(r'id="((?:m|p|C)[0-9a-f]{10,})"', svg(figure, name)))
        for figure, name in ((intervals(), "one"), (training_chart({SYSTEM: training(tmp_path)}, {SYSTEM: 0}), "two"))
    ]
    assert ids[0] and ids[1] and not ids[0] & ids[1]


def test_training_chart_has_a_panel_for_every_part_of_the_reward(tmp_path):
    figure = training_chart({SYSTEM: training(tmp_path)}, {SYSTEM: 0})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "Reward part: mask IoU" in titles and "Reward part: format" in titles
    assert {"Completions that parse", "KL to the base"} <= set(titles)


def test_thick_line_ends_at_the_mean_of_the_last_tenth(tmp_path):
    log = training(tmp_path, steps=40)
    reward = training_chart({SYSTEM: log}, {SYSTEM: 0}).axes[0].lines
    values = np.array(log.column("reward").to_pylist())
    assert np.allclose(reward[0].get_ydata(), values)
    assert np.isclose(reward[1].get_ydata()[-1], values[-4:].mean())
    assert np.isclose(reward[1].get_ydata()[0], values[0])


def test_steps_without_a_number_are_left_out(tmp_path):
    rows = training(tmp_path, steps=5).to_pylist()
    rows[2]["kl"] = None
    log = pa.Table.from_pylist(rows, schema.TRAINING_LOG.schema)
    chart = training_chart({SYSTEM: log}, {SYSTEM: 0})
    kl = next(axes for axes in chart.axes if axes.get_title(loc="left") == "KL to the base")
    assert list(kl.lines[0].get_xdata()) == [1, 2, 4, 5]


def test_a_constant_stays_a_flat_line(tmp_path):
    """The running mean of a constant differs from it by rounding errors, and they must not fill the axis."""
    chart = training_chart({SYSTEM: training(tmp_path)}, {SYSTEM: 0})
    part = next(axes for axes in chart.axes if axes.get_title(loc="left") == "Reward part: format")
    low, high = part.get_ylim()
    assert low < 0.89 and high > 0.91


def test_raster_is_the_chart_in_pixels(tmp_path):
    picture = raster(training_chart({SYSTEM: training(tmp_path)}, {SYSTEM: 0}), dpi=50)
    assert picture.width == round(3 * 3.55 * 50)
    assert len(picture.getcolors(1 << 20)) > 10
