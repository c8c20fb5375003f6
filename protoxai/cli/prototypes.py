"""``protoxai prototypes``: the prototypes of a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from protoxai.prototypes.prototype import Prototype

HELP = "list the prototypes of a model, or draw them"
DESCRIPTION = (
    "List the prototypes of a model: class, scale, groups with the weight in each, the training "
    "image that it is a patch of, and the squared distance that the projection moved it. Or write "
    "a gallery: the pictures of those in use by class, scale and group."
)
LISTS = (".txt", ".json")
GALLERIES = (".html", ".pdf", ".png", ".svg")


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument(
        "--active", action="store_true", help="Leave out prototypes that no group uses."
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=f"File to write instead, by its suffix: the list ({', '.join(LISTS)}), or a gallery "
        f"of the prototypes in use ({', '.join(GALLERIES)}).",
    )


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option: none."""
    return {}


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = None if options.output is None else expanded(options.output, "--output")
    if output is not None and (output.suffix not in LISTS + GALLERIES or output.is_dir()):
        raise ValueError(
            f"--output is {output}, expected a file that ends in {', '.join(LISTS + GALLERIES)}"
        )
    require("train", "lightning", "rich")
    from protoxai.runtime.files import to_json, write_file
    from protoxai.runtime.text_tables import text_table
    from protoxai.training.open_model import open_prototype_model

    model = open_prototype_model(options.model)
    if output is not None and output.suffix in GALLERIES:
        from protoxai.explanations.gallery import gallery

        gallery(model).save(output)
        return 0
    listed = [each for each in model.prototypes if each.active or not options.active]
    head = ["index", "class", "scale", "groups", "image", "distance"]
    table = text_table([head, *map(_line, listed)])
    if output is None:
        print_line(table)
    elif output.suffix == ".json":
        write_file(output, to_json([_plain(each) for each in listed]))
    else:
        write_file(output, f"{table}\n")
    return 0


def _line(prototype: Prototype) -> list[str]:
    groups = ", ".join(f"{number}: {weight:.2f}" for number, weight in prototype.groups.items())
    line = [str(prototype.index), prototype.class_name, str(prototype.scale + 1), groups or "-"]
    source = prototype.provenance
    image = None if source is None else source.image_id
    distance = None if source is None else source.distance
    return [*line, "-" if image is None else image, "-" if distance is None else f"{distance:.4f}"]


def _plain(prototype: Prototype) -> dict[str, Any]:
    source = prototype.provenance
    return {
        "index": prototype.index,
        "class": prototype.class_name,
        "scale": prototype.scale + 1,
        "groups": prototype.groups,
        "active": prototype.active,
        "image_id": None if source is None else source.image_id,
        "image_index": None if source is None else source.image_index,
        "distance": None if source is None else source.distance,
        "active_region": None if source is None else source.active_region,
    }
