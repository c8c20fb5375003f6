"""The data of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from protoxai.model.evaluation_settings import PIXELS, RESIZED
from protoxai.runtime.checks import SHARE, Range
from protoxai.training.recipes.construct import check_fields
from protoxai.training.recipes.yaml_files import RecipeError

IMAGES = Range(least=1, most=65_536)


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Data to train and evaluate on.

    Attributes:
        dataset: Name of a registered data set, such as shapes, camvid or folder.
        root: Folder of the data set, where ``$NAME`` is an environment variable; Shapes has none.
        options: Other arguments of the data set, such as Shapes' size and length.
        train_split: Split to train on.
        projection_split: Split whose images prototypes are projected on; null: train_split.
        validation_split: Split to evaluate on.
        crop: Height and width of training crops.
        scale_range: Smallest and largest factor of the random scale.
        scale_relative_to: What a scale of 1 means: the image's own size, or the size that fits
            the crop.
        log_uniform_scale: Whether the logarithm of the scale is uniform, instead of the scale.
        flip: Probability of a horizontal flip.
        color_jitter: Relative strength of random brightness and contrast.
        antialias: Whether images are smoothed before they are made smaller; false in the paper's
            recipes.
        evaluation_size: Height and width of images in evaluation, or the length of their shorter
            side; null: their own size.
        projection_size: Size of images in projection: native (their own, one image at a time, as
            in the paper's recipes), or size (evaluation_size).
        keep_patches: Whether the model keeps a picture of each prototype's surroundings in its
            training image; false for private images.
        batch_size: Number of images per training batch and process.
        evaluation_batch_size: Number of images per evaluation batch; more than 1 only if all have
            one size.
        workers: Number of processes that load images; 0: the training process itself.
        class_balance: Exponent of the class weights in the cross-entropy, which are the class
            frequencies to the power of minus this.
    """

    dataset: str
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    projection_split: str | None = None
    validation_split: str = "val"
    crop: Annotated[tuple[int, int], PIXELS]
    scale_range: Annotated[tuple[float, float], Range(above=0, most=100)] = (0.5, 1.5)
    scale_relative_to: Literal["image", "crop"] = "image"
    log_uniform_scale: bool = False
    flip: Annotated[float, SHARE] = 0.5
    color_jitter: Annotated[float, SHARE] = 0.0
    antialias: bool = True
    evaluation_size: Annotated[tuple[int, int] | int | None, RESIZED] = None
    projection_size: Literal["native", "size"] = "size"
    keep_patches: bool = True
    batch_size: Annotated[int, IMAGES] = 2
    evaluation_batch_size: Annotated[int, IMAGES] = 1
    workers: Annotated[int, Range(least=0, most=1024)] = 0
    class_balance: Annotated[float, Range(least=0, most=10)] = 0.0

    def __post_init__(self) -> None:
        """Check every key."""
        check_fields(self)
        smallest, largest = self.scale_range
        if smallest > largest:
            raise RecipeError(
                f"scale_range is {list(self.scale_range)}, expected the smaller factor first"
            )
        if self.root == "":
            raise RecipeError("data.root is '', expected a folder: give its path, or null for none")
