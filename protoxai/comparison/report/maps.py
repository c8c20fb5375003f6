"""The maps of explainers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from protoxai.attribution import AttributionMethod
from protoxai.attribution.map_panels import bare, draw_failure, draw_image, draw_map
from protoxai.comparison.explainers import list_of
from protoxai.comparison.model_names import method_name, model_names
from protoxai.comparison.tasks import Task
from protoxai.runtime.figure_text import AS_IT_IS, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 1.7
"""Width of a picture, in inches."""


def maps_figure(explainers: Sequence[AttributionMethod], tasks: Sequence[Task]) -> Figure:
    """Draw the maps of explainers side by side: a row for each explainer, a column for each task.

    Above those of a model stand the images, with the outline of the region that the model predicts
    as the class, which is explained. Each map is divided by its largest absolute value; 0 is white.

    Args:
        explainers: Explainers, those of one model together.
        tasks: Tasks to draw.

    Returns:
        The figure.

    Raises:
        TypeError: If an argument is no list of these.
        ValueError: If one is empty.
    """
    from matplotlib.figure import Figure

    explainers = list_of("explainers", explainers, AttributionMethod)
    tasks = list_of("tasks", tasks, Task)
    named = list(zip(explainers, model_names(explainers), strict=True))
    # Explainers of one model share the regions that it predicts.
    models = [(model, list(own)) for model, own in groupby(named, key=lambda pair: pair[1])]
    height, width = tasks[0].image.shape[2:]
    number = len(explainers) + len(models)
    size = (SIDE * len(tasks) + 2.2, SIDE * height / width * number + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    rows = iter(figure.subplots(number, len(tasks), squeeze=False))
    for name, own in models:
        model = own[0][0].model
        regions = [_on_device(task, model).region(model) for task in tasks]
        panels = next(rows)
        _label(panels, name, fontweight="bold")
        for panel, task, region in zip(panels, tasks, regions, strict=True):
            _draw_image(panel, task, region, model)
        for explainer, _ in own:
            panels = next(rows)
            colour = "#8a8a8a" if explainer.reference else "black"
            _label(panels, method_name(explainer.name, name), color=colour)
            for panel, task, region in zip(panels, tasks, regions, strict=True):
                _draw_map(panel, task, explainer, region)
    return figure


def _label(panels: Sequence[Axes], title: str, **style: Any) -> None:
    """Write a row's title to the left of its panels, which have neither ticks nor frames."""
    for panel in panels:
        bare(panel)
    style |= {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8, **AS_IT_IS}
    panels[0].set_ylabel(drawable(title), **style)


def _draw_image(panel: Axes, task: Task, region: Tensor, model: nn.Module) -> None:
    draw_image(panel, task.image[0], region[0])
    number = int(task.class_index)
    names: Sequence[str] = getattr(model, "class_names", None) or ()
    own = names[number] if number < len(names) else f"class {number}"
    panel.set_title(drawable(f"image {task.image_index}, {own}"), fontsize=8, **AS_IT_IS)


def _draw_map(panel: Axes, task: Task, explainer: AttributionMethod, region: Tensor) -> None:
    try:
        own = _on_device(task, explainer.model)
        values = explainer(own.image, region, own.class_index).map[0].float().cpu().numpy()
    except Exception as error:
        # The table says so of all tasks; the other maps are drawn.
        draw_failure(panel, error)
        return
    draw_map(panel, values)


def _on_device(task: Task, model: nn.Module) -> Task:
    parameter = next(model.parameters(), None)
    return task if parameter is None else task.to(parameter.device)
