"""Users' own modules, which register their data sets, losses, metrics and explainers."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

from protoxai.runtime.checks import did_you_mean, shown


def import_plugin(plugin: str, what: str = "plugin") -> str:
    """Import a module of the user's, once.

    Args:
        plugin: A dotted name that Python can import, or the path of a ``.py`` file.
        what: What it is to the user, for the error.

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
            f"there is no {what} {plugin}: give the path of a .py file or the dotted name of a "
            "module"
        )
    try:
        if is_file:
            _import_file(path)
        elif getattr(importlib.import_module(plugin), "__file__", None) is None:
            # Python imports any folder, as a package without code.
            raise ImportError(f"{plugin} is a folder without __init__.py")
    except Exception as error:
        raise ValueError(
            f"the {what} {plugin} cannot be imported{_place(error, path)} ({type(error).__name__}: "
            f"{error}): correct it, or give the path of another .py file or the dotted name of a "
            "module"
        ) from error
    return str(path) if is_file else plugin


def is_call(source: str) -> bool:
    """Return whether a text names a function of a module, as :func:`call_by_name` takes it.

    Example:
        >>> is_call("my_models.py:unet"), is_call("runs/shapes")
        (True, False)
    """
    module, colon, name = source.rpartition(":")
    return bool(module and colon and name.isidentifier())


def call_by_name(source: str) -> Any:
    """Call a function of a module of the user's, without arguments, and return its result.

    Args:
        source: ``file.py:function`` or ``package.module:function``.

    Raises:
        ValueError: If there is no such module or function, or it fails or requires arguments.
    """
    module, _, name = source.rpartition(":")
    imported = import_plugin(module, "module")
    members = vars(sys.modules[Path(imported).stem if module.endswith(".py") else module])
    known = [key for key, value in members.items() if callable(value)]
    if name not in known:
        raise ValueError(
            f"{module} has no function {name!r}{did_you_mean(name, known)}: give the name of one "
            "after the colon"
        )
    try:
        inspect.signature(members[name]).bind()
    except TypeError as error:
        raise ValueError(
            f"{source} requires arguments ({error}): give a function without, which sets them"
        ) from None
    try:
        return members[name]()
    except Exception as error:
        raise ValueError(
            f"{source} fails{_place(error, Path(imported))} ({type(error).__name__}: {error}): "
            "correct the function"
        ) from error


def is_redefinition(known: Any, new: Any) -> bool:
    """Return whether two classes or functions are one definition that ran twice.

    A script that runs as ``__main__`` and is imported as a plugin too defines its classes twice, in
    two modules of the same file; running a notebook's cell again defines them twice as well.

    Args:
        known: Class or function that is registered.
        new: Class or function to be registered under the same name.
    """
    return _origin(known) == _origin(new)


def check_function(function: Any, *arguments: str) -> None:
    """Check that a function to be registered can be called with its arguments, by position.

    Args:
        function: Function to be registered.
        *arguments: Names of the arguments, for the error.

    Raises:
        TypeError: If it cannot.
    """
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{shown(function)} cannot be registered ({error}): expected a function of "
            f"{', '.join(arguments)}"
        ) from None


def _origin(definition: Any) -> tuple[str, str]:
    """Return the file and name of a class or function."""
    module = str(definition.__module__)
    file = getattr(sys.modules.get(module), "__file__", None) or module
    return file, getattr(definition, "__qualname__", repr(definition))


def _place(error: Exception, path: Path) -> str:
    """Return the line of the plugin that failed; a syntax error names its line itself."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""


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
