"""From a model to its folder and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from protoxai import folders
from protoxai.model.config import check_config
from protoxai.model.evaluation_settings import DOCUMENT as EVALUATION
from protoxai.model.state_dicts import (
    EXTRA_STATE,
    adopt_dtypes,
    adopt_names,
    find_mismatch,
)
from protoxai.runtime.checks import flag, instance, shown
from protoxai.runtime.files import FileError
from protoxai.runtime.finite import check_finite_weights
from protoxai.runtime.wrapped_names import COMPILED

if TYPE_CHECKING:
    from protoxai.model.stored_model import StoredModel

# How the names of weights end that torch.nn.utils.prune masks.
PRUNED = "_orig"
# Keys of config.json that are neither options nor arguments of the constructor.
SEPARATE = ("architecture", "structure")

Model = TypeVar("Model", bound="StoredModel")


def save_model(
    model: StoredModel,
    folder: str | Path,
    documents: Mapping[str, Any] | None = None,
    patches: bool = True,
) -> None:
    """Write a model to a folder; see :meth:`~protoxai.ScaleProtoSeg.save_pretrained`.

    Args:
        model: Model to save.
        folder: Folder, created if missing.
        documents: Further documents by file name.
        patches: Whether the pictures of prototypes are written.
    """
    own = model.documents()
    own[folders.CONFIG] = _checked_config(model, own[folders.CONFIG])
    documents = instance("documents", documents or {}, Mapping)
    # The settings of an evaluation are given as a document, too.
    taken = [name for name in documents if name in own and name != EVALUATION]
    if taken:
        raise ValueError(f"a document is called {taken[0]}, a file of the model's own: rename it")
    state = model.state_dict()
    state.pop(EXTRA_STATE, None)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is {shown(value)}, expected a tensor: a model folder holds no other state "
                "of modules"
            )
    _check_computed(model)
    tensors = {name.replace(COMPILED, ""): value for name, value in state.items()}
    check_finite_weights(tensors, "the model to save")
    binaries = model.binary_files(patches=flag("patches", patches))
    folders.write_folder(folder, {**own, **documents}, tensors, binaries)


def _check_computed(model: StoredModel) -> None:
    """Raise ``TypeError`` if weights are computed from others, which a new model would not know.

    Modules of the user's own are rebuilt by the user, with whatever they compute.
    """
    own = tuple(f"{part}." for part in ("backbone", "scales") if model.config[part] is None)
    for name, module in model.named_modules():
        weights = [weight for weight, _ in module.named_parameters(recurse=False)]
        pruned = any(weight.endswith(PRUNED) for weight in weights)
        if (pruned or is_parametrized(module)) and not f"{name}.".startswith(own):
            raise TypeError(
                f"{name or 'the model'} computes its weights by pruning or a parametrisation, "
                "which a model folder cannot hold: make them permanent with "
                "torch.nn.utils.prune.remove or torch.nn.utils.parametrize.remove_parametrizations"
            )


def load_model_folder(
    model: type[Model],
    source: str | Path,
    backbone: nn.Module | None = None,
    scales: nn.Module | None = None,
) -> Model:
    """Load a model; see :meth:`~protoxai.ScaleProtoSeg.from_pretrained`.

    Args:
        model: Kind of the model.
        source: Folder, or a hub id.
        backbone: The user's own backbone, if the model was built with one.
        scales: The user's own scales, if the model was built with some.
    """
    folder = folders.ModelFolder.open(source)
    config = dict(folder.config)
    kind = config.pop("architecture", None)
    if kind != model.__name__:
        raise FileError(
            f"{folder.path} ({folders.CONFIG}) holds a {kind}, not a {model.__name__}: load it "
            f"with {kind}"
        )
    structure = config.pop("structure", None)
    try:
        values = check_config(model.options_kind, config, number=folder.format)
        model.check_structure(structure, values)
    except (TypeError, ValueError) as error:
        raise folder.damaged(folders.CONFIG, str(error)) from None
    documents, tensors = folder.read()
    for name, module in (("backbone", backbone), ("scales", scales)):
        if module is not None:
            values[name] = module
        if values[name] is None:
            raise ValueError(
                f"{source} was built with its own {name} module: pass it as "
                f"from_pretrained(..., {name}=module)"
            )
    values["pretrained"] = False
    # A damaged value may break anything while the model is built: the folder is to be named.
    try:
        loaded = model.rebuild(values, structure)
    except Exception as error:
        raise FileError(
            f"no model can be built from {folder.path} ({folders.CONFIG}: "
            f"{' '.join(str(error).split())}): save the model again, update protoxai, or pass the "
            "modules that it was built with"
        ) from error
    adopt_names(tensors, "", loaded.state_dict())
    adopt_dtypes(loaded, tensors)
    mismatch = find_mismatch(loaded, tensors)
    if mismatch:
        raise FileError(
            f"the weights in {folder.path / folders.WEIGHTS} do not fit its {folders.CONFIG} "
            f"({mismatch}): save the model again, or pass the modules that it was built with"
        )
    check_finite_weights(
        tensors, str(folder.path / folders.WEIGHTS), "restore the folder, or train the model again"
    )
    loaded.load_state_dict(tensors)
    try:
        loaded.adopt_documents(documents)
        loaded.adopt_binary_files(folder.binaries())
    except folders.DamagedFileError as error:
        raise folder.damaged(error.file, str(error)) from None
    return loaded.eval()


def _checked_config(model: StoredModel, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration after a check that it can be loaded again."""
    options = {key: value for key, value in config.items() if key not in SEPARATE}
    check_config(model.options_kind, options, number=folders.FORMAT)
    return dict(config)
