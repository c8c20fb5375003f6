"""The names of the room: all there, each with its direction, and loaded when asked for."""

import inspect
import subprocess
import sys

import pytest

import protoxai.metrics as room
from protoxai.metrics import ModelMetric, PerImageMetric

CLASSES = [
    name
    for name in room.__all__
    if inspect.isclass(getattr(room, name))
    and issubclass(getattr(room, name), (PerImageMetric, ModelMetric))
    and name not in ("PerImageMetric", "ModelMetric")
]


@pytest.mark.slow
def test_every_name_is_there_and_no_file_hides_a_function() -> None:
    code = (
        "import importlib, pkgutil, protoxai.metrics as m\n"
        "for file in pkgutil.iter_modules(m.__path__):\n"
        "    importlib.import_module('protoxai.metrics.' + file.name)\n"
        "assert all(callable(getattr(m, name)) for name in m.__all__)\n"
        "assert set(m._HOME) | {'gini', 'complexity', 'effective_number'} == set(m.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_neither_the_room_nor_its_cheap_functions_load_anything_heavy() -> None:
    code = (
        "from protoxai.metrics import gini, complexity, effective_number; import sys\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    ).stdout.split()
    assert not {"torchmetrics", "captum", "scipy", "skimage", "timm"} & set(loaded)


@pytest.mark.slow
def test_metrics_do_not_load_captum_until_they_need_it() -> None:
    code = (
        "from protoxai.metrics import Infidelity, MaxSensitivity; import sys\n"
        "print('captum' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert finished.stdout.strip() == "False"


@pytest.mark.parametrize("name", CLASSES)
def test_each_metric_says_what_it_gives_and_which_direction_is_better(name: str) -> None:
    kind = getattr(room, name)
    assert kind.figures
    assert isinstance(kind.higher_is_better, bool)
    assert kind.higher_is_better in kind.figures.values()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="MeanIuO"):
        room.MeanIuO  # noqa: B018
