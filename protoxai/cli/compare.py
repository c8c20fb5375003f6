"""``protoxai compare``: explanations of several models by the same metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from protoxai.cli.data_options import add_data_options, data_keys, given_data_keys
from protoxai.cli.plugins import import_plugins
from protoxai.runtime.checks import POSITIVE, did_you_mean, number, positive, shown
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from protoxai.cli.compared_models import ComparedModels
    from protoxai.comparison import Task

HELP = "compare explanations of models by the same metrics"
DESCRIPTION = (
    "Compare explanations by the same metrics on the same tasks: those of prototype models, and "
    "Captum's of every model. For a run folder the keys of the data are those of its recipe; for "
    "other models --data.dataset and the like name the data. Models of other libraries are "
    "torchvision/NAME, with ?weights=FILE for your own weights, or FILE.py:FUNCTION, which returns "
    "the model. They take the data of the first of the others, normalised as for ImageNet."
)
recipe_keys = data_keys


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "models",
        nargs="+",
        help="Run folders, model folders or hub ids; torchvision/NAME; FILE.py:FUNCTION.",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME",
        help="Explainers: groups, prototypes, evidence_to_pixels, Captum's names, RISE, GradCAM++, "
        "HiResCAM, Seg-XRes-CAM, EigenCAM, or those that plugins register.",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="Metrics: names, or all; those of the headline figures by default.",
    )
    parser.add_argument(
        "--tasks",
        "--images",
        type=int,
        default=50,
        help="Number of tasks, each an image and a class that covers a hundredth of it or more. An "
        "image has a second task only after all have one, so --images, the former name, fits too.",
    )
    parser.add_argument(
        "--skip",
        nargs="+",
        metavar="CLASS",
        help="Names of classes to leave out; background by default.",
    )
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="Seconds after which no further task is begun.",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", default="runs/comparison", help="Folder for the table."
    )
    add_data_options(parser)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = expanded(options.output, "--output")
    positive("--tasks", options.tasks)
    if options.budget is not None:
        number("--budget", options.budget, POSITIVE)
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.cli.compared_models import open_models
    from protoxai.comparison import compare, explainers_of
    from protoxai.comparison.model_names import model_names
    from protoxai.runtime.distributed import process_group, rank

    # The variables of a launcher, which the process group reads, decide on the device.
    with on_stop(lambda: _kept(output)), process_group():
        opened = open_models(options.models, given_data_keys(options))
        explainers = explainers_of(opened.models, options.methods)
        tasks = _tasks(opened, options)
        names = list(dict.fromkeys(model_names(explainers)))
        for name, source in zip(names, options.models, strict=True):
            if len(names) > 1 and rank() == 0:
                print(f"{name}: {source}")
        table = compare(
            explainers,
            tasks,
            metrics="all" if options.metrics == ["all"] else options.metrics,
            output=output,
            budget=options.budget,
            group_noun=opened.view.group_noun,
        )
        if rank() == 0:
            print(
                f"\n{table.to_text(details=options.metrics is not None)}\n{output}: "
                "comparison.txt, .csv, .json, .md and .png with all figures, comparison.tex with "
                "the headlines, differences.png, cost.png, maps.png"
            )
    return 0


def _tasks(opened: ComparedModels, options: Namespace) -> list[Task]:
    """Return the tasks, of which there is at least one."""
    from protoxai.comparison import select_tasks

    dataset, view = opened.dataset, opened.view
    skip = _numbers(options.skip, dataset.class_names)
    tasks = select_tasks(
        view,
        tasks=options.tasks,
        ignore_index=dataset.ignore_index,
        skip=skip,
        group_of=view.group,
        background=next(iter(_numbers(None, dataset.class_names)), None),
        without_parts=view.without_parts if view.redraws else None,
    )
    if not tasks:
        skipped = ", ".join(dataset.class_names[number] for number in skip) or "none"
        raise ValueError(
            f"none of {len(view)} images shows a class to explain (classes left out: {skipped}): "
            "check the labels, or leave out other classes by --skip"
        )
    return tasks


def _numbers(skipped: Sequence[str] | None, class_names: Sequence[str]) -> list[int]:
    """Return the numbers of the classes to leave out, the background if none are given."""
    for name in skipped or ():
        if name not in class_names:
            raise ValueError(
                f"--skip: there is no class {shown(name)}{did_you_mean(name, class_names)}; the "
                f"classes are {', '.join(class_names)}"
            )
    left_out = {"background"} if skipped is None else set(skipped)
    return [number for number, name in enumerate(class_names) if name in left_out]


def _kept(output: Path) -> str:
    """Return the message of a stop."""
    from protoxai.comparison.stored import read_rows

    count = sum(len(read_rows(file)) for file in output.glob("results/*.json"))
    kept = f"{count} finished results are in {output}/results, which the same command continues"
    return f"stopped in the comparison; {kept if count else 'no result was finished'}"
