"""Figures of a comparison."""

import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

from protoxai.attribution import ReferenceMap
from protoxai.comparison import Comparison, maps_figure
from protoxai.comparison.report.plots import GREY, INK
from tests.comparison.test_measurements import values
from tests.comparison.toys import TASKS, Scripted, colours, fails_on, red, result


def comparison() -> Comparison:
    """Two models with two figures; the second explainer of each is distinguished from the first."""
    return Comparison(
        tuple(
            result(
                f"{model}: {name}",
                figure,
                {task: (value,) for task, value in values(shift).items()},
                {figure: up},
                model=model,
                reference=name == "edges",
            )
            for model in ("Ours", "Theirs")
            for figure, up in (("faithfulness", True), ("seconds", False), ("deletion", None))
            for name, shift in (("groups", 0.5), ("Saliency", 0.2), ("edges", 0.5))
        )
    )


def test_there_is_a_panel_for_each_figure_and_a_point_for_each_value() -> None:
    table = comparison()
    figure = table.figure()
    panels = [panel for panel in figure.axes if panel.axison]
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles == ["faithfulness ↑", "seconds ↓", "deletion "]
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == table.explainers
    interval, point = panels[0].lines[:2]
    value = table["Ours: groups", "faithfulness"]
    assert list(point.get_xdata()) == [value.mean]
    assert list(interval.get_xdata()) == [value.low, value.high]
    colours_of = [line.get_color() for line in panels[0].lines[::2]]
    assert colours_of == [INK, INK, GREY] * 2


def test_few_tasks_are_drawn_without_intervals() -> None:
    panel = Comparison((result("a", "m", {0: 1.0, 1: 2.0}),)).figure().axes[0]
    [point] = panel.lines
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([1.5], [0])


def test_differences_are_a_forest_with_filled_points_where_distinguished() -> None:
    table = comparison()
    figure = table.differences_figure()
    assert len(figure.axes) == 2, "faithfulness of two models; the cost has its own figure"
    zero, *lines = figure.axes[0].lines
    assert list(zero.get_xdata()) == [0, 0]
    difference = table.difference("Ours: groups", "Ours: Saliency", "faithfulness")
    interval, point, _, alike = lines
    assert list(interval.get_xdata()) == [difference.low, difference.high]
    assert list(point.get_xdata()) == [difference.mean]
    assert point.get_markerfacecolor() == INK
    assert alike.get_markerfacecolor() == "white"
    assert alike.get_color() == GREY


def test_cost_has_the_front_of_those_that_compete() -> None:
    seconds = {"slow": 9.0, "fast": 1.0, "dominated": 5.0, "edges": 0.1}
    faithful = {"slow": 0.9, "fast": 0.5, "dominated": 0.4, "edges": 0.95}
    table = Comparison(
        tuple(
            result(name, figure, {0: own[name]}, {figure: up}, reference=name == "edges")
            for figure, own, up in (("seconds", seconds, False), ("faithfulness", faithful, True))
            for name in seconds
        )
    )
    [panel] = table.cost_figure().axes
    front, *points = panel.lines
    assert list(zip(front.get_xdata(), front.get_ydata(), strict=True)) == [(1.0, 0.5), (9.0, 0.9)]
    assert len(points) == 4
    names = [text.get_text() for text in panel.get_legend().get_texts()]
    assert set(names) == set(seconds)
    heights = [float(point.get_ydata()[0]) for point in points]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("kind", ["figure", "differences_figure", "cost_figure"])
def test_nothing_to_draw_is_an_empty_figure(kind: str) -> None:
    figure = getattr(Comparison((result("a", "m", {}),)), kind)()
    assert not any(panel.axison and panel.lines for panel in figure.axes)
    figure.canvas.draw()


NAMES = ["$x_1$: a^b", "Straße | \\alpha", "道路\tx"]


def test_names_are_drawn_as_they_are() -> None:
    table = Comparison(tuple(result(name, "cost in $ and $", {0: 1.0}) for name in NAMES))
    with warnings.catch_warnings(), mpl.rc_context({"text.usetex": False}):
        warnings.simplefilter("error")
        figure = table.figure()
        figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [*NAMES[:2], "□□□x"]
    title = figure.axes[0]._left_title
    assert title.get_text() == "cost in $ and $ ↑"
    assert not any(text.get_parse_math() for text in (title, *labels))


def test_maps_stand_side_by_side_with_a_row_for_each_explainer() -> None:
    model = colours()
    explainers = [Scripted("red", red, model), ReferenceMap("predicted_region", model)]
    figure = maps_figure(explainers, TASKS)
    panels = np.array(figure.axes).reshape(3, 2)
    assert [row[0].get_ylabel() for row in panels] == ["Conv2d", "red", "predicted_region"]
    titles = [panel.get_title() for panel in panels[0]]
    assert titles == ["image 4, class 0", "image 9, class 0"]
    for panel, task in zip(panels[1], TASKS, strict=True):
        [drawn] = panel.images
        expected = task.image[0, 0]
        assert np.allclose(drawn.get_array(), expected)
        # 0 is white: the colours are symmetrical.
        assert drawn.get_clim() == pytest.approx((-float(expected.max()), float(expected.max())))
    assert panels[2][0].yaxis.label.get_color() == GREY
    figure.canvas.draw()


def test_classes_have_their_names_and_failures_are_marked() -> None:
    class Named(nn.Module):
        class_names = ("sky",)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    figure = maps_figure([Scripted("broken", fails_on(1), Named())], TASKS)
    panels = np.array(figure.axes).reshape(2, 2)
    assert panels[0][0].get_title() == "image 4, sky"
    assert [text.get_text() for text in panels[1][0].texts] == ["RuntimeError"]
    assert panels[1][1].images
