"""Backbones: images in, feature maps out."""

from protoxai.backbones.base import Backbone
from protoxai.backbones.deeplabv2 import DeepLabV2ResNet
from protoxai.backbones.factory import create_backbone
from protoxai.backbones.families import register_backbone
from protoxai.backbones.module import ModuleBackbone
from protoxai.backbones.unet import UNet

__all__ = [
    "Backbone",
    "DeepLabV2ResNet",
    "ModuleBackbone",
    "UNet",
    "create_backbone",
    "register_backbone",
]
