import pytest

from protoxai.runtime.extras import MissingExtraError, require


def test_what_is_installed_is_no_error() -> None:
    require("train", "torch", "json")


def test_what_is_missing_is_named_with_the_command_that_brings_it() -> None:
    message = r'^no_such_one and nor_this not installed: run pip install "protoxai\[train\]"$'
    with pytest.raises(MissingExtraError, match=message):
        require("train", "no_such_one", "torch", "nor_this")


def test_a_missing_extra_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        require("demo", "no_such_one")
