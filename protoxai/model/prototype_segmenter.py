"""Base of the prototype models: what they know about their prototypes, and how it is stored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
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
from protoxai.prototypes.patches import Patch
from protoxai.prototypes.projection import Projection
from protoxai.prototypes.prototype import Prototypes
from protoxai.prototypes.provenance import Provenance, read_provenance
from protoxai.prototypes.table import PrototypeTable


class PrototypeSegmenter(Segmenter):
    """Base of the prototype models: their structure, and what the projection keeps.

    A subclass sets ``prototype_layer`` and ``head`` in its constructor.
    """

    prototype_layer: MultiScalePrototypeLayer
    head: PrototypeHead | SparseGroupHead
    _projection: Projection | None = None

    @property
    def table(self) -> PrototypeTable:
        """Class and scale of each prototype."""
        return self.prototype_layer.table

    @property
    def grouped(self) -> bool:
        """Whether the model is in stage 2."""
        return isinstance(self.head, SparseGroupHead)

    @property
    def projection(self) -> Projection | None:
        """What the projection has kept; None before it, and once prototypes have changed since.

        Training the trunk makes it wrong too, which is not noticed: project again, or set it to
        None.

        Warns:
            UserWarning: If prototypes have changed, by training or by loading other weights.
        """
        kept = self._projection
        moved = 0 if kept is None else int(kept.moved(self.prototype_layer.prototypes).sum())
        if moved == 0:
            return kept
        warnings.warn(
            f"{moved} of {len(self.table)} prototypes have changed since they were projected, so "
            "they are training patches no longer, and none is shown: call "
            "project_prototypes(model, batches) again",
            stacklevel=2,
        )
        return None

    @projection.setter
    def projection(self, projection: Projection | None) -> None:
        if projection is not None and len(projection.vectors) != len(self.table):
            raise ValueError(
                f"projection is of {len(projection.vectors)} prototypes, expected one of the "
                f"model's {len(self.table)}"
            )
        self._projection = projection

    @property
    def provenance(self) -> tuple[Provenance, ...] | None:
        """Training patch behind each prototype, if there is a :attr:`projection`."""
        kept = self.projection
        return None if kept is None else kept.provenance

    @property
    def patches(self) -> tuple[Patch | None, ...] | None:
        """Picture of each prototype's surroundings, if the :attr:`projection` has kept them.

        Setting it to None keeps the training images out of all that the model writes.
        """
        kept = self.projection
        return None if kept is None else kept.patches

    @patches.setter
    def patches(self, patches: tuple[Patch | None, ...] | None) -> None:
        if self._projection is not None:
            self._projection = replace(self._projection, patches=patches)
        elif patches is not None:
            raise ValueError(
                "the prototypes are not projected, so they have no patches: call "
                "project_prototypes(model, batches)"
            )

    @property
    def class_distances(self) -> Tensor | None:
        """Distances from training pixels to the prototypes (P, n), as the :attr:`projection` has.

        See :class:`~protoxai.prototypes.Projection`.
        """
        kept = self.projection
        return None if kept is None else kept.class_distances

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
        kept = self.projection
        known = (None, None) if kept is None else (kept.provenance, kept.patches)
        return Prototypes(self.table, self.class_names, weights, *known)

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
        check_parts(self.head, self.table, self.config["last_layer"])
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
            entries = read_provenance(documents.get(folders.PROVENANCE), len(self.table))
        vectors = self.prototype_layer.prototypes
        self.projection = None if entries is None else Projection.of(vectors, entries)

    def binary_files(self, *, patches: bool = True) -> dict[str, bytes]:
        """Return the content of the files with what the projection has kept, by name.

        Args:
            patches: Whether pictures are included.
        """
        kept = self.projection
        if kept is None:
            return {}
        return to_files(kept.patches if patches else None, kept.class_distances)

    def adopt_binary_files(self, files: Mapping[str, bytes]) -> None:
        """Read what :meth:`binary_files` returned; the provenance is known already.

        Args:
            files: Content of each file, by name.

        Raises:
            DamagedFileError: If a file is damaged, or does not fit the prototypes.
        """
        kept = self.projection
        found, distances = from_files(files, len(self.table), self.provenance)
        if kept is not None:
            self.projection = replace(kept, patches=found, class_distances=distances)

    def check_weights(self, state: dict[str, Any], prefix: str) -> None:
        """Check that weights are of the model's own structure."""
        adopt_structure(state, prefix, self.structure(), self.state_dict())

    def _keep(self, index: Tensor) -> None:
        """Drop all prototypes but the given ones, and what is kept of them, in place."""
        self.prototype_layer.keep(index)
        self.head.keep(index)
        if self._projection is not None:
            self._projection = self._projection.keep(index)
