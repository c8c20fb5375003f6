"""The tree of files a data set must have, and one clear error where it has not.

Nothing is ever downloaded: the error shows what was expected, what is there, and where to get it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SHOWN = 8


class LayoutError(ValueError):
    """A data set is missing or only half extracted."""


@dataclass(frozen=True)
class Entry:
    """Something the tree must hold.

    Attributes:
        what: what it is, for the reader of an error.
        patterns: glob patterns relative to the root; one match of any of them is enough.
    """

    what: str
    patterns: tuple[str, ...]

    def found(self, root: Path) -> bool:
        """Whether the tree holds it."""
        return any(next(root.glob(pattern), None) is not None for pattern in self.patterns)


@dataclass(frozen=True)
class Layout:
    """The expected tree of a data set.

    Attributes:
        name: of the data set and its split.
        source: where to get it, and what.
        entries: what the tree must hold.

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
        """Raise ``LayoutError`` unless the tree holds every entry.

        Args:
            root: the folder the patterns are relative to.

        Raises:
            LayoutError: with the expected tree, what is there, and where to get the rest.
        """
        present = [entry.found(root) for entry in self.entries]
        if all(present):
            return
        lines = [f"{self.name} is not complete in {root}; expected there:"]
        for entry, there in zip(self.entries, present, strict=True):
            line = f"  {'✓' if there else '✗'} {' or '.join(entry.patterns)}  ({entry.what})"
            lines.append(line if there else f"{line}: {_where_it_ends(root, entry.patterns[0])}")
        lines.append(
            f"Nothing is downloaded: get {self.source}, extract it there, or give another root"
        )
        raise LayoutError("\n".join(lines))


def locate(root: str | Path, *nested: str, marker: str) -> Path:
    """The folder a user means: the root itself, or the data set's own folder inside of it.

    Args:
        root: what the user gave; ``~`` is expanded.
        nested: folders inside of it that may be meant, by their paths relative to it.
        marker: what the right folder holds.

    Returns:
        The first folder with the marker; failing that the first nested one that exists, or the
        root, for the error to speak of.
    """
    given = Path(root).expanduser()
    inside = [given / folder for folder in nested]
    marked = (folder for folder in (given, *inside) if (folder / marker).exists())
    return next(marked, next((folder for folder in inside if folder.is_dir()), given))


def require_files(name: str, folder: Path, files: Iterable[str]) -> None:
    """Raise ``LayoutError`` unless a folder holds all of the files.

    Args:
        name: of the data set and its split.
        folder: where they should be.
        files: their paths relative to it, ``/`` between the parts.

    Raises:
        LayoutError: with the number and some names of the missing files.
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
            f"{_some(missing)}. The archive seems half extracted or half downloaded: extract it "
            "again (nothing is downloaded here)"
        )


def complete_names(
    name: str,
    kinds: Sequence[tuple[Path, str]],
    *,
    nested: bool = False,
    keep: Callable[[str], bool] = bool,
) -> list[str]:
    """The samples of a set without a list: those with a file in any folder must have it in all.

    Args:
        name: of the data set and its split.
        kinds: the folders, and how the names of the files end there.
        nested: the files lie in folders inside of these, and their names begin with those folders'.
        keep: which names, without the end, are samples.

    Returns:
        The files' paths relative to their folder, without the end, sorted.

    Raises:
        LayoutError: if a sample's file is missing in one of the folders.
    """
    found = {item for folder, end in kinds for item in _named(folder, end, nested) if keep(item)}
    items = sorted(found)
    for folder, end in kinds:
        require_files(name, folder, (f"{item}{end}" for item in items))
    return items


def names_in(folder: Path) -> frozenset[str]:
    """The names in a folder; none where there is no such folder."""
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def official_split(dataset: str, split: str, known: Mapping[str, str]) -> str:
    """The data set's own name of a split.

    Args:
        dataset: the name of the class, for the error.
        split: what the user gave.
        known: all names a split may be given by, and its own name for each.

    Raises:
        ValueError: if the split is not known.

    Example:
        >>> official_split("ADE20K", "val", {"val": "validation", "validation": "validation"})
        'validation'
    """
    if split not in known:
        raise ValueError(f"{dataset} has no split {split!r}: it is {' or '.join(map(repr, known))}")
    return known[split]


def _named(folder: Path, end: str, nested: bool) -> Iterator[str]:
    for inside in [f"{name}/" for name in names_in(folder)] if nested else [""]:
        for name in names_in(folder / inside):
            if name.endswith(end) and not name.startswith("."):
                yield inside + name.removesuffix(end)


def _where_it_ends(root: Path, pattern: str) -> str:
    """How far the way to a pattern goes."""
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
    return f"which holds {_some(names)}" if names else "which is empty"


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
