from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protoxai.training import Recipe, RecipeError
from tests.training.cases import micro, write

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def error_of(tmp_path: Path) -> Callable[..., str]:
    """`error_of(change, *arguments)` is the message for the micro recipe with that change."""

    def message(change: Change, *arguments: str) -> str:
        keys = micro()
        change(keys)
        path = write(keys, tmp_path)
        with pytest.raises(RecipeError) as caught:
            Recipe.load(path, arguments)
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        return text.removeprefix(f"{path}: ")

    return message
