"""Files for what the projection keeps of the prototypes: patches, and distances to their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from protoxai.folders import PROTOTYPES, DamagedFileError, damaged_in, picture_name
from protoxai.prototypes.patches import ACTIVATION_SIDE, Patch, check_patches
from protoxai.prototypes.provenance import Provenance

Patches = tuple[Patch | None, ...]
# Type of each tensor, and its dimensions after the first, which is the prototypes; -1 for any size.
TENSORS: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
    "class_distances": (torch.float32, (-1,)),
    "windows": (torch.int64, (4,)),
    "activation_sizes": (torch.int64, (2,)),
    "activations": (torch.uint8, (ACTIVATION_SIDE, ACTIVATION_SIDE)),
}


def to_files(
    patches: Sequence[Patch | None] | None, class_distances: Tensor | None
) -> dict[str, bytes]:
    """Return the content of the files, by name.

    Args:
        patches: Patch of each prototype; None if none was kept.
        class_distances: Distances (P, n); None before the projection.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    files: dict[str, bytes] = {}
    if class_distances is not None:
        tensors["class_distances"] = class_distances.contiguous()
    if patches is not None:
        windows = torch.full((len(patches), 4), -1)
        sizes = torch.zeros(len(patches), 2, dtype=torch.long)
        activations = np.zeros((len(patches), ACTIVATION_SIDE, ACTIVATION_SIDE), dtype=np.uint8)
        for index, patch in enumerate(patches):
            if patch is None:
                continue
            rows, cols = patch.activation.shape
            windows[index] = torch.tensor(patch.window)
            sizes[index] = torch.tensor((rows, cols))
            activations[index, :rows, :cols] = patch.activation
            files[picture_name(index)] = patch.content
        tensors |= {"windows": windows, "activation_sizes": sizes}
        tensors["activations"] = torch.from_numpy(activations)
    return {PROTOTYPES: save(tensors), **files} if tensors else {}


def from_files(
    files: Mapping[str, bytes], count: int, provenance: Sequence[Provenance] | None
) -> tuple[Patches | None, Tensor | None]:
    """Return the patches and the distances in the files of :func:`to_files`.

    Args:
        files: Content of each file, by name.
        count: Number of prototypes P.
        provenance: Provenance of the prototypes; None if they were not projected.

    Raises:
        DamagedFileError: If a file is damaged, missing, or does not fit the prototypes.
    """
    tensors = _tensors(files, count)
    patches = None
    if "windows" in tensors:
        patches = _patches(files, tensors)
        with damaged_in(PROTOTYPES):
            check_patches(patches, provenance)
    expected = {
        picture_name(index) for index, patch in enumerate(patches or ()) if patch is not None
    }
    for name in files:
        if name != PROTOTYPES and name not in expected:
            raise DamagedFileError(name, "it is the picture of a prototype that has none")
    return patches, tensors.get("class_distances")


def _tensors(files: Mapping[str, bytes], count: int) -> dict[str, Tensor]:
    """Return the tensors of a file after a check of their types and shapes."""
    from safetensors.torch import load

    if PROTOTYPES not in files:
        return {}
    try:
        tensors: dict[str, Tensor] = load(files[PROTOTYPES])
    except Exception as error:  # the reader raises errors of several types
        reason = str(error).strip().partition("\n")[0]
        raise DamagedFileError(PROTOTYPES, f"it is no safetensors file: {reason}") from None
    found = set(tensors)
    of_patches = set(TENSORS) - {"class_distances"}
    if found - set(TENSORS) or found & of_patches not in (set(), of_patches):
        raise DamagedFileError(
            PROTOTYPES, f"it holds {', '.join(sorted(found))}, expected {', '.join(TENSORS)}"
        )
    for name, tensor in tensors.items():
        dtype, dims = TENSORS[name]
        shape, expected = tuple(tensor.shape), (count, *dims)
        fits = len(shape) == len(expected) and all(
            size in (own, -1) for own, size in zip(shape, expected, strict=True)
        )
        if tensor.dtype != dtype or not fits:
            raise DamagedFileError(
                PROTOTYPES,
                f"{name} is {tensor.dtype} of shape {shape}, expected {dtype} with "
                f"a row for each of the {count} prototypes",
            )
    return tensors


def _patches(files: Mapping[str, bytes], tensors: Mapping[str, Tensor]) -> Patches:
    patches: list[Patch | None] = []
    rows = zip(
        tensors["windows"].tolist(),
        tensors["activation_sizes"].tolist(),
        tensors["activations"].numpy(),
        strict=True,
    )
    for index, (window, (height, width), activation) in enumerate(rows):
        name = picture_name(index)
        if window == [-1] * 4:
            patches.append(None)
            continue
        if name not in files:
            raise DamagedFileError(PROTOTYPES, f"prototype {index} has a window but no {name}")
        with damaged_in(name):
            top, left, bottom, right = window
            cut = activation[: max(0, height), : max(0, width)].copy()
            patches.append(Patch(files[name], (top, left, bottom, right), cut))
    return tuple(patches)
