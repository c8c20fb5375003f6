"""YAML for recipes: limited in size and depth, without cycles, tags, dates or octal numbers."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode

DEEPEST = 32
MOST_VALUES = 10_000


def load_text(text: str) -> Any:
    """Return the values of a YAML text.

    Args:
        text: YAML of a single document.

    Raises:
        yaml.YAMLError: If the text is no YAML, or no YAML that a recipe may have.

    Example:
        >>> load_text("{steps: 0100, name: 2024-01-01}")
        {'steps': 100, 'name': '2024-01-01'}
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """A safe loader that counts what aliases stand for, so that no value is endless.

    Args:
        text: YAML of a single document.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose a node unless the document gets too deep or too large by it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        is_alias = isinstance(event, yaml.AliasEvent)
        if not is_alias and getattr(event, "tag", None) not in (None, "!"):
            raise _refusal(event, f"there is a tag {event.tag}: recipes have none, remove it")
        before = self._values
        self._depth += 1
        self._values += 1
        self._check_limits(event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias:
            if id(node) not in self._sizes:
                raise _refusal(event, f"*{event.anchor} is a part of itself: write it out")
            self._values += self._sizes[id(node)]
            self._check_limits(event)
        else:
            self._sizes[id(node)] = self._values - before
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Compose a mapping, whose keys must differ: YAML would keep the last of equal ones."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _refusal(key, f"the key {key.value[:100]!r} is given twice: remove one")
                seen.add((key.tag, key.value))
        return node

    def _check_limits(self, at: Any) -> None:
        if self._depth > DEEPEST:
            raise _refusal(at, f"the values are nested too deeply, more than {DEEPEST} levels")
        if self._values > MOST_VALUES:
            raise _refusal(at, f"there are too many values, more than {MOST_VALUES}")


def _refusal(at: Any, problem: str) -> ComposerError:
    return ComposerError(None, None, problem, at.start_mark)


def _decimal(_: _Loader, node: ScalarNode) -> int:
    """Return a whole number as it reads: to YAML, 010 is octal and 1:30 is 90."""
    text = node.value.replace("_", "")
    if not re.fullmatch(r"[-+]?[0-9]{1,4000}", text):
        raise _refusal(node, f"{node.value[:100]} is no decimal number: rewrite it, or quote it")
    return int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)
# Dates stay text.
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in resolvers if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
