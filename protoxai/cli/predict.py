"""``protoxai predict``: the labels of image files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protoxai.cli.plugins import add_plugin_option, import_plugins
from protoxai.runtime.checks import SHARE, number
from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "segment images"
DESCRIPTION = (
    "Segment image files. labels/NAME.png in the output folder holds the class numbers in the "
    "colours of the classes (16 bits without colours for more than 255 classes), overlays/NAME.png "
    "the image under these colours, classes.json the names of the classes. Images are resized and "
    "normalised as in the model's evaluation; labels have the size of the file."
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument("images", nargs="+", help="Image files, and folders of them.")
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="Folder for the predictions."
    )
    parser.add_argument(
        "--abstain-below",
        type=float,
        metavar="SHARE",
        help="Write 255 (16 bits: 65535) where an image is less like the training images than this "
        "share, from 0 to 1, of their own pixels.",
    )
    add_plugin_option(parser)


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option: none."""
    return {}


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = expanded(options.output, "--output")
    images = [expanded(image, "images") for image in options.images]
    least = options.abstain_below
    if least is not None:
        least = number("--abstain-below", least, SHARE)
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.runtime.distributed import process_group
    from protoxai.training.predict_files import predict_files

    kept = f"stopped between two images; the predictions so far are in {output}"
    with on_stop(lambda: kept), process_group():
        files = predict_files(options.model, images, output, abstain_below=least, log=print_line)
    if files.failed:
        count = len(files.failed) + len(files.labels)
        raise ValueError(
            f"{len(files.failed)} of {count} images could not be predicted, the first is "
            f"{next(iter(files.failed))}; the predictions of the others are in {output}"
        )
    return 0
