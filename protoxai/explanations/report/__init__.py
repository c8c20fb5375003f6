"""Self-contained HTML pages: reports on models, and explanations of images."""

from protoxai._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
