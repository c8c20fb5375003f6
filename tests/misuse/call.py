"""A call of the public interface, argument by argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.misuse.domains import Domain


@dataclass(frozen=True)
class Call:
    """A call with one domain for each argument that is varied.

    Attributes:
        package: Name of the package.
        name: Name of the function or class, and of the method.
        run: Function that makes the call with keyword arguments.
        arguments: Domain of each argument.
    """

    package: str
    name: str
    run: Callable[..., Any]
    arguments: dict[str, Domain]


CALLS: list[Call] = []


def call(package: str, name: str, run: Callable[..., Any], /, **arguments: Domain) -> None:
    CALLS.append(Call(package, name, run, arguments))


def method(make: Callable[[], Any], name: str = "update") -> Callable[..., Any]:
    return lambda **arguments: getattr(make(), name)(**arguments)
