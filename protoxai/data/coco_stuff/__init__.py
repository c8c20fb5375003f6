"""COCO-Stuff 164k: everyday photographs, every pixel a thing or a kind of stuff."""

from protoxai.data.coco_stuff.dataset import COCOStuff

__all__ = ["COCOStuff"]
