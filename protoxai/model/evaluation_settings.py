"""The settings of an evaluation, which a model carries from its training to its use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from protoxai.runtime.checks import Range, did_you_mean, flag, pair, shown, whole

DOCUMENT = "evaluation.json"
"""Document of a model folder with the settings."""
PIXELS = Range(least=1, most=65_536)
# PyTorch fails to resize an image to a single pixel.
RESIZED = Range(least=2, most=65_536)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How images become predictions.

    Attributes:
        evaluation_size: Height and width of the images, or the length of their shorter side; None:
            their own size.
        antialias: Whether images are smoothed before they are made smaller.
        window: Height and width of a sliding window; None: the image as a whole.
        stride: Rows and columns from one window to the next; None: half the window.

    Raises:
        TypeError: If a setting has another type.
        ValueError: If a setting is out of its range, or there is a stride without a window.

    Example:
        >>> EvaluationSettings(evaluation_size=512, window=(513, 513)).stride
        (256, 256)
    """

    evaluation_size: tuple[int, int] | int | None = None
    antialias: bool = True
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check every setting."""
        self._set("evaluation_size", _size)
        self._set("antialias", flag)
        for name in ("window", "stride"):
            self._set(name, _pair)
        if self.stride is not None and self.window is None:
            raise ValueError(f"stride is {self.stride}, but there is no window: give its size, too")
        if self.window is not None and self.stride is None:
            height, width = self.window
            object.__setattr__(self, "stride", (max(1, height // 2), max(1, width // 2)))

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read settings from the document of a model folder; those that it lacks are the defaults.

        Args:
            config: Content of the document.

        Raises:
            TypeError: If a setting has another type.
            ValueError: If a key is unknown, or a setting is out of its range.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(config, dict):
            raise ValueError(f"it is {shown(config)}, expected the keys {', '.join(known)}")
        for key in config:
            if key not in known:
                raise ValueError(f"there is no key {key}{did_you_mean(key, known)}")
        return cls(**config)

    def documents(self) -> dict[str, Any]:
        """Return the settings as a document for ``save_pretrained(folder, documents=...)``."""
        return {DOCUMENT: asdict(self)}

    def _set(self, name: str, checked: Callable[[str, Any], Any]) -> None:
        object.__setattr__(self, name, checked(name, getattr(self, name)))


def _size(name: str, value: object) -> tuple[int, int] | int | None:
    if value is None or isinstance(value, list | tuple):
        return _pair(name, value, RESIZED)
    return whole(name, value, RESIZED)


def _pair(name: str, value: object, expected: Range = PIXELS) -> tuple[int, int] | None:
    return None if value is None else pair(name, value, expected)
