"""The axes of live curves: they show every point, and move seldom while points come."""

from designer.ui.curves import Legend, Plot


def draw(plot, qtbot, points):
    """Bring these points to the screen; the ranges of both axes."""
    for x, y in points:
        plot.add("loss", x, y)
    plot.redraw()
    qtbot.waitUntil(lambda: not plot._due.isActive())
    plot.grab()
    return plot._item.viewRange()


def test_axes_hold_all_points_and_are_not_drawn_anew_for_each(qtbot):
    plot = Plot("Loss", "step", smooth=True)
    qtbot.addWidget(plot)
    plot.resize(480, 200)
    plot.show()
    seen = []
    for start in range(0, 800, 20):
        (left, right), (low, high) = draw(plot, qtbot, [(x, 3 / (1 + x / 400)) for x in range(start, start + 20)])
        assert left <= 0
        assert right >= start + 19
        assert low <= 3 / (1 + (start + 19) / 400)
        assert high >= 3
        assert right - left < 1.3 * max(start + 19, 20), "most of the axis is used"
        seen.append((right, low))
    late = seen[len(seen) // 2 :]
    assert len(set(late)) <= len(late) / 2


def test_another_run_starts_on_axes_of_its_own(qtbot):
    plot = Plot("Loss", "step", smooth=True)
    qtbot.addWidget(plot)
    plot.resize(480, 200)
    plot.show()
    draw(plot, qtbot, [(x, 100.0 - x) for x in range(100)])
    plot.reset()
    (_, right), (_, high) = draw(plot, qtbot, [(x, 3.0 - x / 10) for x in range(10)])
    assert right < 12
    assert high < 4


def test_a_legend_leaves_out_what_would_be_cut(qtbot):
    legend = Legend()
    qtbot.addWidget(legend)
    legend.show_values([(name, "") for name in ("all classes", "circle", "square", "triangle", "pentagon")])
    for width in range(40, 420, 7):
        legend.resize(width, 18)
        picture = legend.grab().toImage()
        last = {picture.pixel(picture.width() - 1, y) for y in range(picture.height())}
        assert len(last) == 1, f"cut at {width} pixels"
    assert "pentagon" in legend.toolTip()
