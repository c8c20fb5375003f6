"""Digests of the code that measured values depend on."""

from __future__ import annotations

import hashlib
import inspect
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import protoxai

PARTS = (
    *("attribution", "backbones", "heads", "kernels", "metrics", "model", "prototypes", "runtime"),
    "scales.py",
)
"""Parts of the library that compute models, explanations and metrics."""
LIBRARIES = ("torch", "torchvision", "captum")


def code_digest(kind: type) -> str | None:
    """Return a digest of the code of a metric or explainer; None if its text is unknown.

    It covers the module of the class, the parts of this library that compute values, and the
    versions of the libraries below; not the modules of other packages that the class imports.

    Args:
        kind: The class.

    Example:
        >>> from protoxai.metrics import Faithfulness, Gini
        >>> code_digest(Faithfulness) != code_digest(Gini)
        True
    """
    for source in (sys.modules.get(kind.__module__), kind):
        try:
            text = inspect.getsource(source)  # type: ignore[arg-type]
        except (OSError, TypeError):  # The class was written in a console.
            continue
        return hashlib.sha256((text + _library_digest()).encode()).hexdigest()
    return None


@cache
def _library_digest() -> str:
    root = Path(protoxai.__file__).parent
    digest = hashlib.sha256(" ".join(version(name) for name in LIBRARIES).encode())
    for part in PARTS:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
