"""The model: trunk, scales, prototypes and head in sequence."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.kernels import stream_logits
from protoxai.labels import check_ignore_index
from protoxai.model.familiarity import familiarity
from protoxai.model.finiteness import check_result
from protoxai.model.options import ScaleProtoSegOptions, complete, explicit_options
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.prediction import predicted_labels
from protoxai.model.preprocessing import ImageInput, prepare
from protoxai.model.prototype_segmenter import PrototypeSegmenter
from protoxai.model.removal import remaining_prototypes
from protoxai.model.structure import check_structure, find_structure
from protoxai.prototypes.layer import MultiScalePrototypeLayer
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import SHARE, number
from protoxai.runtime.modes import evaluating
from protoxai.runtime.precision import widen


@explicit_options(ScaleProtoSegOptions)
class ScaleProtoSeg(PrototypeSegmenter):
    """Segmentation by comparing each pixel with prototypes at several scales.

    Porta et al., "Multi-Scale Grouped Prototypes for Interpretable Semantic Segmentation", WACV
    2025 (arXiv 2409.09497). Stage 1 has a linear head over the prototypes; :meth:`group` enters
    stage 2. With ``scales="atrous-sum"`` and ten prototypes per class it is ProtoSeg (Sacha et al.,
    WACV 2023, arXiv 2301.12276).

    Args:
        backbone: ``"timm/<name>"``, ``"torchvision/<name>"``, ``"deeplabv2/<resnet>"``,
            ``"unet"``, or a module that returns a map, a list of maps or a dict of maps.
        num_classes: Number of classes C.
        scales: "atrous", "atrous-sum" (one scale), "pyramid", or a module with ``num_scales`` and
            ``dim`` that maps a list of feature maps to (B, S, D, h, w).
        **options: Options of the prototypes and the trunk.

    Raises:
        ValueError: If an argument does not fit.
        TypeError: If an option is unknown.

    Example:
        >>> import torch
        >>> trunk = torch.nn.Conv2d(3, 8, 3, stride=8)
        >>> model = ScaleProtoSeg(trunk, num_classes=2, prototype_dim=4)
        >>> model(torch.randn(1, 3, 32, 40)).logits.shape
        torch.Size([1, 2, 4, 5])
        >>> model.predict(torch.randn(1, 3, 32, 40)).shape
        torch.Size([1, 32, 40])
    """

    options_kind = ScaleProtoSegOptions

    def __init__(
        self,
        backbone: str | nn.Module,
        num_classes: int,
        *,
        scales: str | nn.Module = "atrous",
        **options: Unpack[ScaleProtoSegOptions],
    ) -> None:
        chosen = complete(ScaleProtoSegOptions, options)
        dim = chosen["prototype_dim"]
        super().__init__(backbone, num_classes, scales=scales, dim=dim, options=chosen)
        table = chosen["table"]
        if table is None:
            table = PrototypeTable.regular(
                num_classes, self.scales.num_scales, chosen["prototypes_per_scale"]
            )
        self._check_table(table)
        self.prototype_layer = MultiScalePrototypeLayer(
            table, dim, chosen["epsilon"], chosen["bounded_prototypes"]
        )
        self.head = PrototypeHead(table, chosen["off_class"], chosen["last_layer"])

    def forward(self, images: Tensor) -> SegmentationOutput:
        """Segment normalised images (B, 3, H, W); all maps are at feature resolution h x w."""
        maps, per_input_scale = self.scale_maps(images)
        output = self.forward_embedding(_embedding(maps))
        auxiliary = per_input_scale if self.training else ()
        outputs = tuple(self.forward_embedding(_embedding(own)) for own in auxiliary)
        return output._replace(auxiliary=outputs)

    def embed(self, images: Tensor) -> Tensor:
        """Return the embedding (B, S, D, h, w) in (0, 1) of normalised images (B, 3, H, W)."""
        maps = self.scale_maps(images)[0]
        # The sigmoid would hide infinite values.
        check_result(self, images, maps)
        return _embedding(maps)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return only the logits, without ever holding the maps of all prototypes in memory."""
        logits = stream_logits(
            lambda tile: self.head(self.prototype_layer(tile).activations),
            self.embed(images),
            len(self.table),
        )
        check_result(self, images, logits)
        return logits

    def predict(
        self, images: ImageInput, *, abstain_below: float | None = None, ignore_index: int = 255
    ) -> Tensor:
        """Return the label of every pixel, int64 (B, H, W), at the size of the image as given.

        Args:
            images: Images as :meth:`Segmenter.predict` takes them.
            abstain_below: Familiarity, in [0, 1], below which a pixel has no label, see
                :func:`~protoxai.model.familiarity.familiarity`; None: every pixel has a label.
            ignore_index: Label of these pixels.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If an argument does not fit, or pixels are to be left out by a model that
                does not know how far its training images are from its prototypes.
            NotFiniteError: If, on the CPU, a value is NaN or infinite.
        """
        if abstain_below is None:
            return super().predict(images)
        least = number("abstain_below", abstain_below, SHARE)
        check_ignore_index(ignore_index, self.num_classes)
        pixels, _, size = prepare(self, images)
        labels = []
        with evaluating(self), torch.no_grad():
            for image in pixels.split(1):
                output = self.forward_embedding(self.embed(image))
                check_result(self, image, output.logits)
                own = predicted_labels(output.logits, size)[0]
                known = familiarity(output.distances[0], own, self.class_distances, self.table)
                labels.append(own.masked_fill(known < least, ignore_index))
        return torch.stack(labels)

    def forward_embedding(self, embedding: Tensor) -> SegmentationOutput:
        """Return the output for an embedding (B, S, D, h, w), as :meth:`embed` returns it."""
        distances, activations = self.prototype_layer(embedding)
        scores = None
        if isinstance(self.head, SparseGroupHead):
            scores = self.head.scores(activations)
            logits = self.head.classify(scores)
        else:
            logits = self.head(activations)
        return SegmentationOutput(logits, embedding, distances, activations, scores)

    def group(self, num_groups: int = 3) -> Self:
        """Enter stage 2, in place: add a new grouping head and freeze all parts before it.

        Args:
            num_groups: Number of groups per class.

        Returns:
            The model itself.
        """
        head = SparseGroupHead(
            self.table, num_groups, self.config["off_class"], self.config["last_layer"]
        )
        self.head = head.to(self.prototype_layer.prototypes.device)
        for part in (self.backbone, self.scales, self.prototype_layer):
            part.requires_grad_(False)
        return self.train(self.training)

    def keep_prototypes(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all prototypes but the given ones and what is kept of them, in place.

        Args:
            indices: Indices of the prototypes to keep; their order stays.

        Raises:
            ValueError: If the model is in stage 2, whose groups depend on the prototypes.
        """
        if not isinstance(self.head, PrototypeHead):
            raise ValueError(
                "prototypes can be dropped in stage 1 only, the model is in stage 2: drop them "
                "before model.group()"
            )
        self._keep(self.table.check_kept(indices))

    def compact(self) -> ScaleProtoSeg:
        """Return a new, smaller model without the prototypes that no group uses.

        The new model computes the same logits in less time and memory. A class whose groups use no
        prototype keeps one, with weight 0. Thresholded models
        (:meth:`~protoxai.SparseGroupHead.threshold_`) gain the most.

        Raises:
            ValueError: If the model is in stage 1, where every prototype has a weight.

        Example:
            >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
            >>> _ = model.group()
            >>> model.head.threshold_(0.2)
            >>> len(model.compact().table) < len(model.table)
            True
        """
        if not isinstance(self.head, SparseGroupHead):
            raise ValueError(
                "the model is in stage 1, whose head weighs every prototype: enter stage 2 with "
                "model.group(), train it and call model.head.threshold_()"
            )
        model = copy.deepcopy(self)
        model._keep(self.head.used_prototypes())
        return model

    def without(self, prototypes: Tensor | Sequence[int]) -> ScaleProtoSeg:
        """Return a new model without some prototypes, in either stage.

        All other weights stay as they are. In stage 2 the weights of a group are not renormalised,
        so a group whose prototypes are all removed has the constant score 1.
        :func:`~protoxai.refit_last_layer` adapts the last layer. Removing what is judged to be
        wrong follows Bontempelli et al., ProtoPDebug, ICLR 2023 (arXiv 2205.15769).

        Args:
            prototypes: Indices of the prototypes to remove, each once.

        Raises:
            TypeError: If the indices are not a list of whole numbers.
            ValueError: If an index is out of range, or a class would lose its last prototype, or in
                stage 2 the last one that its groups use.

        Example:
            >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
            >>> len(model.table), len(model.without([3, 17]).table)
            (24, 22)
        """
        kept = remaining_prototypes(self.head, prototypes, self.class_names)
        model = copy.deepcopy(self)
        model._keep(kept)
        return model

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen parts (in stage 2 all but the head) stay in evaluation mode."""
        super().train(mode)
        if getattr(self, "head", None) is not None and self.grouped:
            self.backbone.eval()
            self.scales.eval()
        return self

    def restructure(self, structure: Mapping[str, Any]) -> None:
        """Adopt the :meth:`structure` of another model of the same configuration, in place.

        It is read before the weights, so that pruned and grouped models load and resume. The layer
        and the head are replaced by new ones, so call it before the optimizer is created.

        Args:
            structure: Structure of the other model, or the state dict of such a model.

        Raises:
            ValueError: If it holds no structure, or one of other classes or scales.

        Example:
            >>> new = lambda: ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
            >>> weights, model = new().group().state_dict(), new()
            >>> model.restructure(weights)
            >>> model.load_state_dict(weights)
            <All keys matched successfully>
        """
        table, num_groups = check_structure(find_structure(structure))
        self._check_table(table)
        layer, device = self.prototype_layer, self.prototype_layer.prototypes.device
        self.prototype_layer = MultiScalePrototypeLayer(
            table, layer.dim, layer.epsilon, layer.bounded
        ).to(device)
        self.head = PrototypeHead(table, self.config["off_class"], self.config["last_layer"]).to(
            device
        )
        self.projection = None
        if num_groups is not None:
            self.group(num_groups)

    def _check_table(self, table: PrototypeTable) -> None:
        num_scales = self.scales.num_scales
        if (table.num_classes, table.num_scales) != (self.num_classes, num_scales):
            raise ValueError(
                f"the table has {table.num_classes} classes and {table.num_scales} scales, "
                f"expected the model's {self.num_classes} classes and {num_scales} scales"
            )

    @classmethod
    def rebuild(cls, values: dict[str, Any], structure: Any) -> Self:
        """Build the model, without its weights, from the content of its ``config.json``."""
        model = cls(**values, table=PrototypeTable(**structure["table"]))
        return model if structure["num_groups"] is None else model.group(structure["num_groups"])


def _embedding(maps: Tensor) -> Tensor:
    (maps,) = widen(maps)
    return torch.sigmoid(maps)
