"""Files of ``torch.save``, read without executing anything that they hold."""

from __future__ import annotations

import io
import re
from typing import Any

import torch

from protoxai.runtime.files import FileError


def load_plain(content: bytes, source: object) -> Any:
    """Return what ``torch.save`` wrote, if it is tensors, plain values and containers of these.

    Args:
        content: Content of the file.
        source: Path of the file, for the error.

    Raises:
        FileError: If the file is damaged, or holds anything else, which would be executed.
    """
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # The reader raises errors of many types for damaged files.
    except Exception as error:
        raise FileError(f"{source} {_reason(content, str(error))}") from None


def _reason(content: bytes, message: str) -> str:
    """Return why a file is not read, without PyTorch's advice to execute it."""
    refused = re.search(r"GLOBAL ([\w.]+)", message)
    if refused:
        return f"holds {refused[1]}, which is no tensor and would be executed: do not trust it"
    if not content:
        return "is empty"
    if "Weights only load failed" in message:
        return "holds other objects than tensors and plain values, or is damaged"
    return f"is damaged: {message.strip().partition(chr(10))[0]}"
