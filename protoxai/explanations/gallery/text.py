"""A gallery as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.explanations.gallery.figure import percent

if TYPE_CHECKING:
    from protoxai.explanations.gallery.contents import ClassContents
    from protoxai.explanations.gallery.galleries import Gallery


def gallery_text(gallery: Gallery) -> str:
    """Return classes, scales, prototypes and groups as text.

    Args:
        gallery: The gallery.
    """
    return "\n".join(line for each in gallery.classes for line in _lines(gallery, each))


def _lines(gallery: Gallery, contents: ClassContents) -> list[str]:
    used = f"{len(contents.in_use)} of {contents.prototypes} prototypes in use"
    lines = [f"{contents.name}: {used}"]
    if not contents.in_use:
        return lines
    lines[0] += f", {percent(contents.redundancy)} of the pairs redundant"
    if contents.groups:
        lines[0] += f", groups overlap by {percent(contents.overlap)}"
    for scale, indices in enumerate(contents.by_scale):
        if indices:
            mass = percent(contents.scale_mass[scale])
            names = ", ".join(_name(gallery, index) for index in indices)
            lines.append(f"  scale {scale + 1} ({mass}): prototypes {names}")
    for group in contents.groups:
        members = ", ".join(f"{weight:.2f} of {index}" for index, weight in group.members)
        lines.append(f"  group {group.number}: {members or 'not used'}")
    return lines


def _name(gallery: Gallery, index: int) -> str:
    purity = gallery.neighbours and gallery.neighbours.purity.get(index)
    return f"{index} ({percent(purity.share)} {purity.shows})" if purity else str(index)
