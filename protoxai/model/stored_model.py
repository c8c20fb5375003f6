"""Base of the models: how they become a folder, and come from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from torch import nn

from protoxai import folders
from protoxai.model.evaluation_settings import DOCUMENT as EVALUATION
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.model.options import TrunkOptions
from protoxai.model.saving import load_model_folder, save_model
from protoxai.model.state_dicts import adopt_names
from protoxai.runtime.checks import instance, palette_of, shown
from protoxai.runtime.palette import Colour, distinct_palette


class StoredModel(nn.Module):
    """Base of the models: saving and loading.

    Attributes:
        config: Options and arguments of the model, as its folder stores them.
        evaluation_settings: Size of images in evaluation, which
            :meth:`~protoxai.ScaleProtoSeg.preprocess` applies, and sliding window; None: unknown. A
            run sets them, and a model folder keeps them.
        palette: Colour (red, green, blue) of each class, 0 to 255, in pictures; None: distinct
            ones. A run sets those of its data, and a model folder keeps them.
    """

    # The typed dictionary of the options that a folder stores.
    options_kind: ClassVar[type[TrunkOptions]] = TrunkOptions
    config: dict[str, Any]
    evaluation_settings: EvaluationSettings | None = None
    palette: Sequence[Sequence[int]] | None = None

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        documents: Mapping[str, Any] | None = None,
        patches: bool = True,
    ) -> None:
        """Write the model to a folder: safetensors, JSON and pictures, never pickle.

        ``config.json`` comes last and holds the digests of the other files, so that a folder is
        loaded as it was saved, or refused.

        Args:
            folder: Folder, created if missing.
            documents: Further documents to keep with the model: plain values by the name of their
                file, such as ``{"training.json": {"steps": 100}}``.
            patches: Whether the pictures of prototypes are written. Those of a model that the
                folder held before are removed in either case.

        Raises:
            ValueError: If a document has a name of the model's own files, or no plain one.
            TypeError: If a document or a module's extra state cannot be stored.
            OSError: If the folder cannot be written.
        """
        save_model(self, folder, documents, patches)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        backbone: nn.Module | None = None,
        scales: nn.Module | None = None,
    ) -> Self:
        """Load a model, in evaluation mode, from a folder or a hub id.

        Args:
            source: Folder written by :meth:`save_pretrained`, or a hub id ``owner/name``.
            backbone: Your own backbone module, if the model was built with one.
            scales: Your own scales module, if the model was built with one.

        Raises:
            ValueError: If the folder is missing, incomplete, altered, mixed, or of another kind of
                model.
        """
        return load_model_folder(cls, source, backbone, scales)

    @classmethod
    def rebuild(cls, values: dict[str, Any], structure: Any) -> Self:
        """Build the model, without its weights, from the content of its ``config.json``.

        Args:
            values: Arguments of the constructor, checked.
            structure: Structure of the model, checked; None if it has none.
        """
        del structure
        return cls(**values)

    @classmethod
    def check_structure(cls, structure: Any, values: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` if a structure is damaged, or not one of a configuration.

        Args:
            structure: Structure in ``config.json``; None if there is none.
            values: Arguments of the constructor, checked.
        """
        del values
        if structure is not None:
            raise ValueError(f"structure is {shown(structure)}, but a {cls.__name__} has none")

    def documents(self) -> dict[str, Any]:
        """Return the content of the JSON files of the model's folder, by file name."""
        documents: dict[str, Any] = {folders.CONFIG: dict(self.config)}
        settings = self.evaluation_settings
        if settings is not None:
            settings = instance("evaluation_settings", settings, EvaluationSettings)
            documents |= settings.documents()
        if self.palette is not None:
            documents |= {folders.PALETTE: self.colours}
        return documents

    def adopt_documents(self, documents: Mapping[str, Any]) -> None:
        """Read what the other documents of a model folder add to the model.

        Args:
            documents: Content of the documents by file name.

        Raises:
            DamagedFileError: If a document is damaged.
        """
        content = documents.get(EVALUATION)
        if content is not None:
            with folders.damaged_in(EVALUATION):
                self.evaluation_settings = EvaluationSettings.from_config(content)
        colours = documents.get(folders.PALETTE)
        if colours is not None:
            with folders.damaged_in(folders.PALETTE):
                self.palette = palette_of("palette", colours, self._num_classes)

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Colour (red, green, blue) of each class: the palette, or distinct ones without one."""
        if self.palette is None:
            return distinct_palette(self._num_classes)
        given = palette_of("palette", self.palette, self._num_classes)
        return cast(tuple[Colour, ...], given)

    @property
    def _num_classes(self) -> int:
        count: int = self.config["num_classes"]
        return count

    def binary_files(self, *, patches: bool = True) -> dict[str, bytes]:
        """Return the content of the folder's files beside the weights and JSON, by name.

        Args:
            patches: Whether the pictures of prototypes are included.
        """
        del patches
        return {}

    def adopt_binary_files(self, files: Mapping[str, bytes]) -> None:
        """Read what :meth:`binary_files` returned.

        Args:
            files: Content of each file, by name.

        Raises:
            DamagedFileError: If a file is damaged.
        """

    def check_weights(self, state: dict[str, Any], prefix: str) -> None:
        """Check a state dict before its weights are loaded.

        Args:
            state: State dict, perhaps of more than the model.
            prefix: Prefix of the model's names in it.

        Raises:
            ValueError: If the weights do not fit.
        """

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        """Load weights, those of a compiled or parallel model too."""
        adopt_names(state_dict, prefix, self.state_dict())
        self.check_weights(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
