"""The expected files of a data set, and one clear error if some are missing.

Nothing is ever downloaded: the error shows what was expected, what is there, and where to get it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from protoxai.runtime.paths import expanded

SHOWN = 8


class LayoutError(ValueError):
    """A data set is missing or only half extracted."""


@dataclass(frozen=True)
class Entry:
    """A required part of the tree.

    Attributes:
        what: Description, for the error.
        patterns: Glob patterns relative to the root; one match of any of them is enough.
    """

    what: str
    patterns: tuple[str, ...]

    def exists(self, root: Path) -> bool:
        """Return whether a tree contains it.

        Args:
            root: Folder that the patterns are relative to.
        """
        return any(next(root.glob(pattern), None) is not None for pattern in self.patterns)


@dataclass(frozen=True)
class Layout:
    """The expected tree of a data set.

    Attributes:
        name: Name of the data set and its split.
        source: Files to get, and where.
        entries: Required parts of the tree.

    Example:
        >>> layout = Layout("Owls", "owls.zip from owls.org", (Entry("images", ("img/*.jpg",)),))
        >>> layout.check(Path("/no/such/folder"))
        Traceback (most recent call last):
            ...
        protoxai.data.file_tree.LayoutError: Owls is not complete in /no/such/folder...
    """

    name: str
    source: str
    entries: tuple[Entry, ...]

    def check(self, root: Path) -> None:
        """Raise an error unless the tree contains every entry.

        Args:
            root: Folder that the patterns are relative to.

        Raises:
            LayoutError: If an entry is missing; the message shows the expected tree, what is
                there, and where to get the rest.
        """
        present = [entry.exists(root) for entry in self.entries]
        if all(present):
            return
        lines = [f"{self.name} is not complete in {root}, expected there:"]
        for entry, there in zip(self.entries, present, strict=True):
            line = f"  {'✓' if there else '✗'} {' or '.join(entry.patterns)}  ({entry.what})"
            lines.append(line if there else f"{line}: {_first_missing(root, entry.patterns[0])}")
        lines.append(
            f"Nothing is downloaded: get {self.source}, extract it there, or give another root"
        )
        raise LayoutError("\n".join(lines))


def locate(root: str | Path, *nested: str, marker: str) -> Path:
    """Find the data set's folder: the root itself, or a folder inside of it.

    Args:
        root: Folder that the user gave; ``~`` and variables are expanded.
        *nested: Folders inside of the root that may be meant, as paths relative to it.
        marker: Name of a file or folder in the data set's folder.

    Returns:
        The first folder with the marker. If there is none, the first nested one that exists, or
        else the root, so that an error can name it.
    """
    given = expanded(root)
    inside = [given / folder for folder in nested]
    marked = (folder for folder in (given, *inside) if (folder / marker).exists())
    return next(marked, next((folder for folder in inside if folder.is_dir()), given))


def require_files(name: str, folder: Path, files: Iterable[str]) -> None:
    """Raise an error unless a folder contains all of the files.

    Args:
        name: Name of the data set and its split.
        folder: Folder with the files.
        files: Paths of the files relative to it, with ``/`` between the parts.

    Raises:
        LayoutError: If files are missing; the message gives their number and some names.
    """
    listings: dict[Path, frozenset[str]] = {}
    missing, total = [], 0
    for file in files:
        total += 1
        path = folder / file
        if path.parent not in listings:
            listings[path.parent] = names_in(path.parent)
        if path.name not in listings[path.parent]:
            missing.append(file)
    if missing:
        raise LayoutError(
            f"{name}: {len(missing)} of {total} files are missing in {folder}: "
            f"{_some(missing)}. The archive seems to be incomplete or extracted in part: extract "
            "it again (nothing is downloaded here)"
        )


def complete_names(
    name: str,
    kinds: Sequence[tuple[Path, str]],
    *,
    nested: bool = False,
    keep: Callable[[str], bool] = bool,
) -> list[str]:
    """Return the samples of a data set that has no list of them, from the files in its folders.

    A sample that has a file in one of the folders must have one in all of them.

    Args:
        name: Name of the data set and its split.
        kinds: Pairs of a folder and the ending of its files' names.
        nested: Whether the files are in subfolders of these folders; the names of the samples then
            begin with those of the subfolders.
        keep: Function that returns whether a name, without its ending, is that of a sample.

    Returns:
        Paths of the files relative to their folder, without the ending, sorted.

    Raises:
        LayoutError: If a sample's file is missing in one of the folders.
    """
    items = sorted(
        {item for folder, end in kinds for item in _named(folder, end, nested) if keep(item)}
    )
    for folder, end in kinds:
        require_files(name, folder, (f"{item}{end}" for item in items))
    return items


def names_in(folder: Path) -> frozenset[str]:
    """Return the names in a folder; none if there is no such folder.

    Args:
        folder: Path of the folder.
    """
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def official_split(dataset: str, split: str, known: Mapping[str, str]) -> str:
    """Return the data set's own name of a split.

    Args:
        dataset: Name of the class, for the error.
        split: Name that the user gave.
        known: Official name of a split for each name that it may be given by.

    Raises:
        ValueError: If the split is unknown.

    Example:
        >>> official_split("ADE20K", "val", {"val": "validation", "validation": "validation"})
        'validation'
    """
    if split not in known:
        names = " or ".join(map(repr, known))
        raise ValueError(f"{dataset} has no split {split!r}, expected {names}")
    return known[split]


def _named(folder: Path, end: str, nested: bool) -> Iterator[str]:
    for inside in [f"{name}/" for name in names_in(folder)] if nested else [""]:
        for name in names_in(folder / inside):
            if name.endswith(end) and not name.startswith("."):
                yield inside + name.removesuffix(end)


def _first_missing(root: Path, pattern: str) -> str:
    """Describe the first part of a pattern that does not exist."""
    if not root.is_dir():
        return "the folder does not exist"
    folder = root
    for part in PurePosixPath(pattern).parts:
        if "*" in part or not (folder / part).exists():
            where = folder.relative_to(root).as_posix()
            return f"no {part} in {'the root' if where == '.' else where}, {_contents(folder)}"
        folder = folder / part
    return "it is missing"


def _contents(folder: Path) -> str:
    names = sorted(names_in(folder))
    return f"which contains {_some(names)}" if names else "which is empty"


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
