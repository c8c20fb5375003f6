"""The names of the package: complete, each metric with its function, and loaded when first used."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import protoxai.metrics as package
from protoxai import PrototypeTable
from protoxai.metrics import MeanIoU, ModelMetric
from protoxai.metrics.base.per_image import ImageRows

BASES = {"PerImageMetric", "ModelMetric"}
WITHOUT_METRIC = (
    *(".adversary", ".best_patches", ".blur", ".chance_purity", ".imputation", ".noisy_linear"),
    *(".part_metric", ".patch_contents", ".prototype_peaks", ".shown_regions", ".tallies"),
)
HELPERS = {
    "chance_hits",
    "estimate",
    "iou_per_class",
    "metric_named",
    "part_drops",
    "part_hits",
    "perturbation_curves",
    "randomisation_layers",
    "register_metric",
    "registered_metrics",
    "spearman",
}
NAMES = {name: getattr(package, name) for name in package.__all__}
CLASSES = [
    name
    for name, value in NAMES.items()
    if inspect.isclass(value) and issubclass(value, (ImageRows, ModelMetric)) and name not in BASES
]
FUNCTIONS = [name for name, value in NAMES.items() if inspect.isfunction(value)]
ARGUMENTS = {
    "ActivationScaleDiversity": {"table": PrototypeTable.regular(2, 1, 2)},
    "MeanIoU": {"num_classes": 3},
    "ParameterRandomisation": {"layers": (("2",), ("0",))},
    "PartConsistency": {"table": PrototypeTable.regular(2, 1, 2), "part_class": (0, 1)},
    "PrototypePurity": {"table": PrototypeTable.regular(2, 1, 2), "part_class": (0, 1)},
    "PartStability": {"table": PrototypeTable.regular(2, 1, 2), "part_class": (0, 1)},
}


def run_python(code: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    return finished.stdout.split()


def own_function(name: str) -> str:
    """The name of a metric's function, in snake case."""
    return next(f for f in FUNCTIONS if f.replace("_", "") == name.lower())


def test_there_are_metrics_to_check() -> None:
    assert len(CLASSES) >= 20


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_its_function_in_the_file_of_its_name(name: str) -> None:
    function = own_function(name)
    modules = {NAMES[name].__module__, NAMES[function].__module__}
    assert len(modules) == 1
    assert modules.pop().split(".")[-1] == function


def test_each_function_has_its_class() -> None:
    assert {own_function(name) for name in CLASSES} | HELPERS == set(FUNCTIONS)


@pytest.mark.parametrize("name", CLASSES)
def test_each_metric_names_its_figures_and_which_direction_is_better(name: str) -> None:
    kind = NAMES[name]
    assert isinstance(kind.higher_is_better, bool | None)
    if kind is not MeanIoU:
        assert kind.figures
        assert kind.higher_is_better in kind.figures.values()


@pytest.mark.parametrize("name", CLASSES)
def test_the_representation_is_a_call_with_the_constructors_arguments(name: str) -> None:
    kind, given = NAMES[name], ARGUMENTS.get(name, {})
    text = repr(kind(**given))
    assert text.startswith(f"{name}(")
    for argument, value in given.items():
        assert f"{argument}={value!r}" in text
    own = inspect.signature(kind).parameters.values()
    for parameter in own:
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.default is not None:
            assert f"{parameter.name}=" in text


def test_every_file_of_a_metric_is_in_the_stub() -> None:
    listed = {value.__module__ for value in NAMES.values() if hasattr(value, "__module__")}
    for folder in ("explanation", "prototype", "segmentation"):
        place = importlib.import_module(f"protoxai.metrics.{folder}")
        for file in pkgutil.iter_modules(place.__path__, f"{place.__name__}."):
            assert file.name in listed or file.name.endswith(WITHOUT_METRIC)


@pytest.mark.slow
def test_modules_do_not_hide_functions_of_the_same_name() -> None:
    code = (
        "import importlib, pkgutil, protoxai.metrics as m\n"
        "for file in pkgutil.walk_packages(m.__path__, 'protoxai.metrics.'):\n"
        "    importlib.import_module(file.name)\n"
        "assert all(callable(getattr(m, name)) for name in m.__all__)\n"
    )
    assert run_python(code) == []


def test_the_package_loads_nothing_heavy() -> None:
    loaded = run_python(
        "import protoxai.metrics, sys; print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert "protoxai" in loaded
    assert not {"torchmetrics", "captum", "scipy", "skimage", "timm"} & set(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("names", ["gini, complexity", "Infidelity, MaxSensitivity"])
def test_metrics_load_captum_and_scikit_image_when_they_need_them(names: str) -> None:
    loaded = run_python(
        f"from protoxai.metrics import {names}; import sys; "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert "protoxai" in loaded
    assert not {"captum", "skimage", "timm"} & set(loaded)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="MeanIuO"):
        package.MeanIuO  # noqa: B018
