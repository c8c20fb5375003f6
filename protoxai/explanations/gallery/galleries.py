"""The gallery: all prototypes of a model, by class, scale and group."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from protoxai.explanations.inputs import check_data_set
from protoxai.explanations.saving import check_suffix
from protoxai.heads.linear import check_class
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.prototypes.prototype import Prototype
from protoxai.runtime.checks import Range, instance, number, shown
from protoxai.runtime.files import write_file
from protoxai.runtime.finite import check_finite_weights
from protoxai.runtime.wrappers import unwrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from protoxai.explanations.gallery.contents import ClassContents
    from protoxai.explanations.gallery.neighbours import Neighbours

WIDTHS = Range(least=3, most=40)
TALLEST = 400
"""Height in inches up to which all classes are drawn in one picture."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """All prototypes in use of a model, by class, scale and group.

    Attributes:
        title: Name of the model.
        classes: What each class has.
        prototypes: All prototypes of the model.
        neighbours: Nearest patches of a data set, and purity; None without data.
    """

    title: str
    classes: tuple[ClassContents, ...]
    prototypes: Sequence[Prototype] = field(repr=False)
    neighbours: Neighbours | None = field(repr=False)

    def figure(self, class_index: int | None = None, *, width: float = 7.0) -> Figure:
        """Draw the prototypes of a class, or all classes at a glance.

        Args:
            class_index: The class; None for a row per class: prototypes in use, weight by scale,
                redundancy, and overlap of the groups.
            width: Width in inches: by default that of a page.

        Raises:
            TypeError: If an argument is no number.
            ValueError: If there is no such class, or the width is out of range.
        """
        if class_index is None:
            return self._drawn((), width, overview=True)
        chosen = self.classes[check_class(class_index, len(self.classes))]
        return self._drawn((chosen,), width)

    def figures(self, *, width: float = 7.0) -> tuple[Figure, ...]:
        """Draw all classes at a glance, and each class that has prototypes.

        Args:
            width: Width in inches: by default that of a page.

        Raises:
            TypeError: If the width is no number.
            ValueError: If the width is out of range.
        """
        own = (self.figure(each.class_index, width=width) for each in self._with_prototypes)
        return (self.figure(width=width), *own)

    def to_text(self) -> str:
        """Return classes, scales, prototypes and groups as text."""
        from protoxai.explanations.gallery.text import gallery_text

        return gallery_text(self)

    def to_html(self) -> str:
        """Return a self-contained HTML page, which loads nothing."""
        from protoxai.explanations.gallery.page import gallery_page

        return gallery_page(self)

    def save(self, path: str | Path) -> None:
        """Write the gallery: a page (.html), a page per class (.pdf), or one picture (.png, .svg).

        Args:
            path: File to write; its suffix decides what is written.

        Raises:
            TypeError: If it is no path.
            ValueError: If the suffix is another one, or the classes are too many for one picture.
        """
        path = check_suffix(path)
        kind = path.suffix.lower()
        if kind == ".html":
            write_file(path, self.to_html())
            return
        buffer = io.BytesIO()
        if kind == ".pdf":
            self._write_pages(buffer)
        else:
            figure = self._drawn(self._with_prototypes, 7.0, overview=True)
            if figure.get_figheight() > TALLEST:
                raise ValueError(
                    f"path is {shown(str(path))}, but the gallery would be "
                    f"{figure.get_figheight():.0f} inches tall: give a name that ends with .html "
                    "or .pdf"
                )
            figure.savefig(buffer, format=kind[1:])
        write_file(path, buffer.getvalue())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        from protoxai.explanations.gallery.page import overview_table

        return overview_table(self)

    @property
    def _with_prototypes(self) -> tuple[ClassContents, ...]:
        return tuple(each for each in self.classes if each.in_use)

    def _drawn(
        self, classes: Sequence[ClassContents], width: float, *, overview: bool = False
    ) -> Figure:
        width = number("width", width, WIDTHS)
        from protoxai.explanations.gallery.figure import draw_class, draw_legend, draw_overview
        from protoxai.runtime.figure_sheet import TITLE, Sheet

        sheet, top = Sheet(width), 0.04
        if overview:
            top = sheet.text(0, top, self.title, size=TITLE + 1.5, bold=True) + 0.06
            top = draw_overview(sheet, top, self.classes) + 0.2
        for each in classes:
            top = draw_class(sheet, top, each, self.prototypes, self.neighbours) + 0.2
        if classes:
            top = draw_legend(sheet, top, neighbours=self.neighbours is not None)
        return sheet.finish(top + 0.05)

    def _write_pages(self, file: io.BytesIO) -> None:
        """Write each figure as a page of a PDF."""
        from matplotlib import rc_context
        from matplotlib.backends.backend_pdf import PdfPages

        from protoxai.runtime.figure_sheet import DPI, FILE_OPTIONS

        with rc_context(FILE_OPTIONS), PdfPages(file) as pages:
            for figure in self.figures():
                pages.savefig(figure, dpi=DPI)


def gallery(model: ScaleProtoSeg, data: Any = None) -> Gallery:
    """Collect all prototypes of a model that are in use, by class, scale and group.

    Args:
        model: Model in either stage. Pictures are those that it has kept of its prototypes.
        data: Data set with ``len`` and ``[]``, whose items are mappings with "image" (3, H, W),
            normalised, and perhaps "labels", "parts" and "id". With it the gallery shows the ten
            nearest patches of each prototype, each of another image, none of the prototype's own
            image, and with labels its purity (:func:`~protoxai.metrics.prototype_purity`). Its
            ``class_names``, ``part_names``, ``part_class`` and ``ignore_index`` are used if it has
            them, and for sharper pictures its ``raw(index).image``, uint8 (3, h, w).

    Raises:
        TypeError: If the model has no prototypes, or the data are no data set.
        ValueError: If the data are empty or do not fit the model.
        NotFiniteError: If a weight or an image is NaN or infinite.

    Example:
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> shown = gallery(model, [{"image": torch.randn(3, 32, 40)}])
        >>> shown.classes[0].by_scale[0], len(shown.figures())
        ((0, 1, 2), 3)
    """
    hint = "a model without prototypes has none to show"
    model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
    check_finite_weights(model)
    from protoxai.explanations.gallery.contents import contents_of

    classes = contents_of(model)
    found = None
    if data is not None:
        check_data_set(data)
        from protoxai.explanations.gallery.neighbours import neighbours_of

        found = neighbours_of(model, data, _in_use(classes))
    return Gallery(type(model).__name__, classes, model.prototypes, found)


def _in_use(classes: Sequence[ClassContents]) -> Tensor:
    indices = [index for each in classes for index in each.in_use]
    return torch.tensor(sorted(indices), dtype=torch.long)
