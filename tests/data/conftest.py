"""Small trees of files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_pair(tmp_path: Path) -> Callable[..., Path]:
    """`write_pair(stem, labels, folder="")` writes an image and its label map, returns the root."""

    def write(stem: str, labels: np.ndarray, folder: str = "") -> Path:
        for kind in ("images", "labels"):
            (tmp_path / folder / kind).mkdir(parents=True, exist_ok=True)
        labels = np.asarray(labels, dtype=np.uint8)
        pixels = np.repeat(labels[..., None] * 20, 3, axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "images" / f"{stem}.png")
        Image.fromarray(labels).save(tmp_path / folder / "labels" / f"{stem}.png")
        return tmp_path

    return write
