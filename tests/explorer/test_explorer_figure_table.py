"""Behind every figure stands a table with its numbers."""

import re

import numpy as np
from bokeh.models import ColumnDataSource

from largen.explorer.figure_table import MOST_ROWS, FigureTable, table_html
from largen.explorer.sizes import DistanceAgainstN
from largen.explorer.view import View

CURVE = {
    "n": [50, 100, 200], "distance": [0.2, 0.1, 0.05], "low": [0.1, 0.06, 0.03], "high": [0.3, 0.2, 0.1],
    "exponent": 1.0,
}  # fmt: skip


class Plain(View):
    """A figure that is filled by hand."""

    def draw(self, limit, runs):
        """Nothing."""


def cells(text):
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]


def test_the_table_holds_the_numbers_of_the_figure_and_follows_it():
    view = DistanceAgainstN()
    table = FigureTable(view)
    view.show(CURVE)
    assert table.pane.object == ""  # nobody has asked for it
    table.button.value = True
    head, *rows = cells(table.pane.object)
    assert head == ["neurons n", "95 % interval, low", "95 % interval, high", "networks", "power law"]
    np.testing.assert_allclose(
        np.array(rows, float)[:, :4], np.transpose([CURVE[k] for k in ("n", "low", "high", "distance")])
    )
    view.show({**CURVE, "distance": [0.7, 0.1, 0.05]})
    assert any("0.7" in row for row in cells(table.pane.object))
    view.show(None)
    assert table.pane.object == "<p>The figure is empty.</p>"
    table.button.value = False
    assert (table.pane.object, table.pane.visible) == ("", False)


def test_a_long_series_keeps_its_ends_and_a_map_the_middles_of_its_cells():
    view = Plain("plain", "<b>title</b>", "time", "value")
    view.source("curve", "x", "y")
    view.fill("curve", x=np.arange(1000.0), y=np.arange(1000.0) ** 2)
    text = table_html(view)
    rows = cells(text)[1:]
    assert len(rows) == MOST_ROWS
    assert (rows[0], rows[-1]) == (["0", "0"], ["999", "998001"])
    assert "&lt;b&gt;title&lt;/b&gt;" in text
    assert "<b>" not in text
    image = np.arange(6.0).reshape(2, 3)
    view.sources = {"map": ColumnDataSource({"image": [image], "x": [0.0], "y": [10.0], "dw": [3.0], "dh": [2.0]})}
    assert cells(table_html(view)) == [
        ["value \\ time", "0.5", "1.5", "2.5"], ["10.5", "0", "1", "2"], ["11.5", "3", "4", "5"],
    ]  # fmt: skip
