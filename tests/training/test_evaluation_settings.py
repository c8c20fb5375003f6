"""The settings of an evaluation: kept in a model folder, and overridden by what is given."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from protoxai import LinearSegmenter
from protoxai.model.evaluation_settings import DOCUMENT
from protoxai.runtime.files import FileError
from protoxai.training import DataRecipe, EvaluationSettings
from protoxai.training.evaluation_settings import (
    chosen_settings,
    recipe_settings,
    stored_settings,
)

SETTINGS = EvaluationSettings(evaluation_size=(32, 48), antialias=False, window=(16, 20))


def saved(folder: Path, content: Any = None) -> Path:
    model = LinearSegmenter("timm/test_resnet", 2, pretrained=False, atrous_rates=(1,))
    model.save_pretrained(folder, documents=None if content is None else {DOCUMENT: content})
    return folder


def test_a_folder_keeps_them(tmp_path: Path) -> None:
    stored = stored_settings(saved(tmp_path, SETTINGS.documents()[DOCUMENT]))
    assert EvaluationSettings(**stored) == SETTINGS
    assert stored == {
        "evaluation_size": (32, 48),
        "antialias": False,
        "window": (16, 20),
        "stride": (8, 10),
    }


def test_those_of_a_run_are_its_recipes() -> None:
    recipe = DataRecipe(dataset="shapes", crop=(8, 8), evaluation_size=40, antialias=False)
    expected = EvaluationSettings(evaluation_size=40, antialias=False)
    assert recipe_settings(recipe) == expected


def test_a_folder_without_has_the_defaults(tmp_path: Path) -> None:
    assert stored_settings(saved(tmp_path)) == {}
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("files", "digest"):
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 1}))
    assert stored_settings(tmp_path) == {}
    settings, sources = chosen_settings({}, {}, "model folder")
    assert settings == EvaluationSettings()
    assert set(sources.values()) == {"default"}


def test_what_is_given_overrides() -> None:
    stored = {"evaluation_size": (32, 48), "window": (16, 20), "stride": (5, 6)}
    settings, sources = chosen_settings({"evaluation_size": None}, stored, "model folder")
    assert settings == EvaluationSettings(window=(16, 20), stride=(5, 6))
    assert sources == {
        "evaluation_size": "given",
        "antialias": "default",
        "window": "model folder",
        "stride": "model folder",
    }
    # A stride belongs to its window.
    settings, sources = chosen_settings({"window": (4, 4)}, stored, "model folder")
    assert settings.stride == (2, 2)
    assert sources["stride"] == "default"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"crf": True}, "there is no key crf"),
        ({"evaluation_size": [0, 3]}, "evaluation_size is"),
        ({"antialias": "perhaps"}, "antialias is 'perhaps', expected True or False"),
        ({"stride": [4, 4]}, "there is no window"),
        ([3], r"is \[3\], expected the keys"),
    ],
)
def test_what_does_not_fit_is_named_with_the_folder(
    tmp_path: Path, content: Any, message: str
) -> None:
    saved(tmp_path, content)
    with pytest.raises(FileError, match=rf"{tmp_path} is damaged \({DOCUMENT}: .*{message}"):
        stored_settings(tmp_path)


def test_an_altered_document_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, SETTINGS.documents()[DOCUMENT])
    file = tmp_path / DOCUMENT
    file.write_text(file.read_text().replace("32", "33"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(FileError, match=f"its SHA-256 is {digest[:8]}"):
        stored_settings(tmp_path)
    file.unlink()
    with pytest.raises(FileError, match=f"holds no {DOCUMENT}, which its config.json lists"):
        stored_settings(tmp_path)


def test_a_stride_needs_a_window() -> None:
    with pytest.raises(ValueError, match=r"stride is \(4, 4\), but there is no window"):
        EvaluationSettings(stride=(4, 4))
