"""``protoxai report``: one HTML file about a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.cli.data_options import add_data_options, data_keys, given_data_keys
from protoxai.cli.plugins import import_plugins
from protoxai.runtime.checks import NOT_NEGATIVE, instance, whole
from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from protoxai.training.evaluate_saved import OpenedEvaluation

HELP = "write a page that explains a model's pixels"
DESCRIPTION = (
    "Write one HTML file about a model on the validation split of a data set: its scores, its "
    "prototypes, and some images whose every pixel is explained. It opens in any browser, without "
    "a network. For a run folder the keys of the data are those of its recipe; for other models "
    "--data.dataset and the like name the data. What is given here overrides both."
)
recipe_keys = data_keys


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument("--output", default="report.html", metavar="FILE", help="HTML file.")
    parser.add_argument(
        "--images",
        type=int,
        default=8,
        metavar="N",
        help="Number of images to explain, from best to worst predicted.",
    )
    parser.add_argument(
        "--no-images",
        action="store_true",
        help="Leave out the prototypes' pictures of training images, as for private data.",
    )
    parser.add_argument(
        "--inactive", action="store_true", help="List the prototypes that no group uses, too."
    )
    parser.add_argument("--title", help="Title of the page; the model's name by default.")
    add_data_options(parser)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    images = whole("--images", options.images, NOT_NEGATIVE)
    output = expanded(options.output, "--output")
    if output.is_dir():
        raise ValueError(f"--output is {output}, which is a folder: give the path of a file")
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.explanations.report import report
    from protoxai.model.loading import load_model
    from protoxai.model.scaleprotoseg import ScaleProtoSeg
    from protoxai.runtime.distributed import own_device, process_group, rank
    from protoxai.training.class_names import check_classes_fit
    from protoxai.training.evaluate_saved import open_evaluation
    from protoxai.training.feeding.loaders import evaluation_view

    with on_stop(lambda: "stopped in the report; nothing was written"), process_group():
        opened = open_evaluation(options.model, given_data_keys(options))
        model = load_model(opened.model).to(own_device())
        check_classes_fit(model, opened.dataset)
        model.evaluation_settings = opened.settings
        view = evaluation_view(opened.dataset, opened.recipe, model)
        report(
            instance("model", model, ScaleProtoSeg, "it has prototypes to show"),
            view,
            output,
            images,
            patches=not options.no_images,
            inactive=options.inactive,
            title=options.title,
            details=_details(opened),
        )
        if rank() == 0:
            print_line(f"report: {output}")
    return 0


def _details(opened: OpenedEvaluation) -> dict[str, str]:
    """Return what the page says of the data."""
    size = opened.settings.evaluation_size
    sides = (size,) if isinstance(size, int) else size
    return {
        "Data": f"{opened.recipe.dataset}, split {opened.recipe.validation_split}",
        "Image size": "own" if sides is None else " x ".join(map(str, sides)),
    }
