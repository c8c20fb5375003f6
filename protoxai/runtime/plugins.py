"""Users' own modules, which register their data sets, losses, metrics and explainers."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def import_plugin(plugin: str) -> str:
    """Import a module of the user's, once.

    Args:
        plugin: A dotted name that Python can import, or the path of a ``.py`` file.

    Returns:
        The plugin, by its absolute path if it is a file: under that name it can be imported from
        anywhere.

    Raises:
        ValueError: If there is no such module, or importing it fails.
    """
    is_file = plugin.endswith(".py")
    path = Path(plugin).expanduser().resolve()
    if is_file and not path.is_file():
        raise ValueError(
            f"there is no plugin {plugin}: give the path of a .py file or the dotted name of a "
            "module"
        )
    try:
        if is_file:
            _import_file(path)
        else:
            importlib.import_module(plugin)
    except Exception as error:
        raise ValueError(
            f"the plugin {plugin} cannot be imported ({type(error).__name__}: {error}): give the "
            "path of a .py file or the dotted name of a module, without errors"
        ) from error
    return str(path) if is_file else plugin


def _import_file(path: Path) -> None:
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return
    if known is not None:
        raise ImportError(f"there is another module {name} already: rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    # Under its own name, so that what it defines can be pickled.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
