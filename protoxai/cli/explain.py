"""``protoxai explain``: the groups and prototypes behind a model's segmentation of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protoxai.cli.plugins import add_plugin_option, import_plugins
from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.files import write_file
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "explain images by a model's prototypes"
DESCRIPTION = (
    "Explain a model's segmentation of images: print each predicted class with its groups and "
    "prototypes, and write a page (.html) whose every pixel is explained, or the figure of one "
    "image (.png, .svg, .pdf). A model folder that keeps pictures needs no training data."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="Image files.")
    parser.add_argument(
        "--output",
        default="explanation.html",
        metavar="FILE",
        help="File to write: a page (.html) or, for one image, a figure (.png, .svg, .pdf).",
    )
    parser.add_argument(
        "--no-images",
        action="store_true",
        help="Leave out the prototypes' pictures of training images, as for private data.",
    )
    add_plugin_option(parser)


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option: none."""
    return {}


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    from protoxai.explanations.saving import check_suffix

    output = check_suffix(expanded(options.output, "--output"), "--output")
    if output.is_dir():
        raise ValueError(f"--output is {output}, which is a folder: give the path of a file")
    page = output.suffix.lower() == ".html"
    if len(options.images) > 1 and not page:
        raise ValueError(
            f"--output is {output}, a figure, which shows one image, but there are "
            f"{len(options.images)} images: give a name that ends with .html, or explain one image"
        )
    images = [expanded(image, "image") for image in options.images]
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.explanations import explain, explanation_page
    from protoxai.training.open_model import open_prototype_model

    with on_stop(lambda: "stopped in the explanation; nothing was written"):
        model = open_prototype_model(options.model)
        if options.no_images:
            model.patches = None
        explanations = explain(model, images)
        for image, explanation in zip(images, explanations, strict=True):
            print_line(f"{image}\n{explanation}\n")
        if page:
            names = [image.name for image in images]
            write_file(output, explanation_page(explanations, names=names))
        else:
            explanations[0].save(output)
    print_line(f"explanation: {output}")
    return 0
