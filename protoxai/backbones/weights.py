"""Weights from local files, read without executing code from the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from torch import Tensor, nn

from protoxai.runtime.files import FileError
from protoxai.runtime.torch_files import load_plain
from protoxai.runtime.wrapped_names import unwrapped_names

StateDict: TypeAlias = dict[str, Tensor]


def read_weights(path: str | Path) -> StateDict:
    """Read a state dict from a `.safetensors` file or one written by `torch.save`.

    Args:
        path: Path of the file; the state dict may be under the key "state_dict" or "model", and may
            have been saved from a compiled or parallel model.

    Raises:
        ValueError: If there is no such file, or it contains anything but tensors and containers.

    Example:
        >>> import tempfile, torch
        >>> folder = Path(tempfile.mkdtemp())
        >>> torch.save({"state_dict": {"weight": torch.ones(2)}}, folder / "weights.pt")
        >>> read_weights(folder / "weights.pt")
        {'weight': tensor([1., 1.])}
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"pretrained={str(path)!r} is no file, expected True (hub), False (random) or the path "
            "of a .safetensors or torch.save file"
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = load_plain(path.read_bytes(), path)
    except FileError as error:
        raise FileError(
            f"{error}; it cannot be read as weights: save the state dict alone, "
            "torch.save(model.state_dict(), path)"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(
            f"{path} contains a {type(content).__name__}, expected a state dict of tensors: "
            "save it with torch.save(model.state_dict(), path)"
        )
    return _unwrapped(dict(content))


def load_weights(module: nn.Module, weights: StateDict, spec: str) -> None:
    """Load weights into a network, without those of parts that it does not have.

    Args:
        module: Network that is changed in place.
        weights: State dict of the network, or of one that includes it.
        spec: Name of the network, for the error.

    Raises:
        ValueError: If a tensor of the network is missing in `weights` or has another shape.
    """
    own = module.state_dict()
    required = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = [
        name for name in required if name not in weights or weights[name].shape != own[name].shape
    ]
    if missing:
        raise ValueError(
            f"the weights given for {spec!r} lack {len(missing)} of its {len(required)} tensors or "
            f"have them in another shape (first: {missing[0]!r}): give weights saved from {spec!r}"
        )
    module.load_state_dict({name: weights.get(name, own[name]) for name in own})


def _read_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _unwrapped(load_file(path))
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no valid safetensors file ({_first_line(error)}): save it again with "
            "safetensors.torch.save_file(model.state_dict(), path)"
        ) from error


def _unwrapped(weights: StateDict) -> StateDict:
    """Return weights that were saved from a compiled or parallel model under its own names."""
    names = unwrapped_names(weights)
    return {names[name]: value for name, value in weights.items()}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
