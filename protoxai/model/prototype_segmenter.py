"""Base of the prototype models: what they know about their prototypes, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from protoxai import folders
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.model.prototype_files import from_files, to_files
from protoxai.model.segmenter import Segmenter
from protoxai.model.structure import (
    adopt_structure,
    check_parts,
    check_structure,
    encode_structure,
)
from protoxai.prototypes.layer import MultiScalePrototypeLayer
from protoxai.prototypes.patches import Patch, check_patches
from protoxai.prototypes.prototype import Prototypes
from protoxai.prototypes.provenance import Provenance, read_provenance
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.tensors import tensor


class PrototypeSegmenter(Segmenter):
    """Base of the prototype models: their structure, and what the projection keeps.

    A subclass sets ``prototype_layer`` and ``head`` in its constructor.

    Attributes:
        provenance: Training patch behind each prototype; None before the projection.
        patches: Picture of each prototype's surroundings, None for a prototype without; None if no
            pictures were kept.
        class_distances: Squared distances from n training pixels of each prototype's class to the
            projected prototype, float32 (P, n), on the CPU. A column is the same pixel for all
            prototypes of a class; the values are NaN where a class has fewer pixels. None before
            the projection.
    """

    prototype_layer: MultiScalePrototypeLayer
    head: PrototypeHead | SparseGroupHead
    provenance: tuple[Provenance, ...] | None = None
    patches: tuple[Patch | None, ...] | None = None
    class_distances: Tensor | None = None

    @property
    def table(self) -> PrototypeTable:
        """Class and scale of each prototype."""
        return self.prototype_layer.table

    @property
    def grouped(self) -> bool:
        """Whether the model is in stage 2."""
        return isinstance(self.head, SparseGroupHead)

    @property
    def prototypes(self) -> Prototypes:
        """The prototypes as plain data, each put together when it is accessed.

        Their weights are those of now; pictures are decoded on access.

        Example:
            >>> import torch
            >>> from protoxai import ScaleProtoSeg
            >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
            >>> model.prototypes[3].scale, model.prototypes[3].patch
            (0, None)
        """
        weights = None
        if isinstance(self.head, SparseGroupHead):
            weights = self.head.weights_by_prototype()
        return Prototypes(self.table, self.class_names, weights, self.provenance, self.patches)

    def structure(self) -> dict[str, Any]:
        """Return the table and the number of groups, which determine the shapes of the weights."""
        groups = self.head.num_groups if isinstance(self.head, SparseGroupHead) else None
        return {"table": self.table.to_config(), "num_groups": groups}

    def get_extra_state(self) -> Tensor:
        """Return the :meth:`structure` as a tensor, for the state dict."""
        return encode_structure(self.structure())

    def set_extra_state(self, state: Any) -> None:
        """Do nothing: the structure in a state dict is compared before its weights are loaded."""

    @classmethod
    def check_structure(cls, structure: Any, values: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` if a structure is damaged, or not one of a configuration."""
        table, _ = check_structure(structure)
        if table.num_classes != values["num_classes"]:
            raise ValueError(
                f"num_classes is {values['num_classes']}, but structure.table.num_classes "
                f"{table.num_classes}"
            )

    def documents(self) -> dict[str, Any]:
        """Return the content of the JSON files of the model's folder, by file name."""
        check_parts(self.head, self.table, self.config["last_layer"], self.provenance)
        documents = super().documents()
        documents[folders.CONFIG] |= {
            "epsilon": self.prototype_layer.epsilon,
            "bounded_prototypes": self.prototype_layer.bounded,
            "structure": self.structure(),
        }
        entries = self.provenance and [entry.to_config() for entry in self.provenance]
        # The file is written even without provenance, so that it replaces an older model's.
        return {**documents, folders.PROVENANCE: entries}

    def adopt_documents(self, documents: Mapping[str, Any]) -> None:
        """Read the provenance from the documents of a model folder."""
        super().adopt_documents(documents)
        with folders.damaged_in(folders.PROVENANCE):
            self.provenance = read_provenance(documents.get(folders.PROVENANCE), len(self.table))

    def binary_files(self, *, patches: bool = True) -> dict[str, bytes]:
        """Return the content of the files with what the projection has kept, by name.

        Args:
            patches: Whether pictures are included.
        """
        kept = check_patches(self.patches, self.provenance)
        if self.class_distances is not None:
            sizes = {"prototypes": len(self.table)}
            tensor("class_distances", self.class_distances, "prototypes pixels", sizes=sizes)
        return to_files(kept if patches else None, self.class_distances)

    def adopt_binary_files(self, files: Mapping[str, bytes]) -> None:
        """Read what :meth:`binary_files` returned; the provenance is known already.

        Args:
            files: Content of each file, by name.

        Raises:
            DamagedFileError: If a file is damaged, or does not fit the prototypes.
        """
        self.patches, self.class_distances = from_files(files, len(self.table), self.provenance)

    def check_weights(self, state: dict[str, Any], prefix: str) -> None:
        """Check that weights are of the model's own structure."""
        adopt_structure(state, prefix, self.structure(), self.state_dict())

    def _forget_projection(self) -> None:
        """Drop what the projection has kept, of prototypes that are no longer the model's."""
        self.provenance = self.patches = self.class_distances = None

    def _keep(self, index: Tensor) -> None:
        """Drop all prototypes but the given ones, and what is kept of them, in place."""
        self.prototype_layer.keep(index)
        self.head.keep(index)
        rows = index.tolist()
        if self.provenance is not None:
            self.provenance = tuple(self.provenance[i] for i in rows)
        if self.patches is not None:
            self.patches = tuple(self.patches[i] for i in rows)
        if self.class_distances is not None:
            self.class_distances = self.class_distances[index.to("cpu")]
