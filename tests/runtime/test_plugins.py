import sys
from pathlib import Path

import pytest

from protoxai.runtime.plugins import call_by_name, import_plugin, is_call


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that a test imports are unknown afterwards."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_file_is_imported_once_under_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "my_scans", "import sys\nsys.imports = getattr(sys, 'imports', 0) + 1\n")
    try:
        assert import_plugin(str(path)) == str(path)
        assert import_plugin(str(path)) == str(path)
        assert sys.imports == 1  # type: ignore[attr-defined]
    finally:
        del sys.imports  # type: ignore[attr-defined]
    assert sys.modules["my_scans"].__file__ == str(path)


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "my_losses", "")
    monkeypatch.chdir(tmp_path)
    assert import_plugin("my_losses.py") == str(path)


def test_a_dotted_name_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package").mkdir()
    write(tmp_path / "my_package", "metrics", "value = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_plugin("my_package.metrics") == "my_package.metrics"
    assert sys.modules["my_package.metrics"].value == 3


def test_what_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"there is no plugin .*none\.py: give the path of a"):
        import_plugin(str(tmp_path / "none.py"))
    with pytest.raises(ValueError, match=r"no_such\.thing cannot be imported \(ModuleNotFound"):
        import_plugin("no_such.thing")
    broken = write(tmp_path, "broken", "value = unknown\n")
    with pytest.raises(
        ValueError, match=r"broken\.py cannot be imported, line 1 \(NameError: .*unknown"
    ):
        import_plugin(str(broken))
    assert "broken" not in sys.modules
    folder = tmp_path / "only_a_folder"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="only_a_folder is a folder without __init__"):
        import_plugin("only_a_folder")
    taken = write(tmp_path, "json", "")
    with pytest.raises(ValueError, match=r"another module json already: rename the file"):
        import_plugin(str(taken))


FUNCTIONS = """
def three():
    return 3

def argued(size):
    return size

def failing():
    return 1 / 0

number = 3
"""


def test_a_function_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "my_functions", FUNCTIONS)
    assert call_by_name(f"{path}:three") == 3
    (tmp_path / "my_package").mkdir()
    write(tmp_path / "my_package", "functions", FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    assert call_by_name("my_package.functions:three") == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tree", r"my_functions.py has no function 'tree' \(did you mean 'three'\?\)"),
        ("number", "has no function 'number'"),
        ("argued", r":argued requires arguments \(missing .* 'size'\): give a function without"),
        ("failing", r":failing fails, line 9 \(ZeroDivisionError: division by zero\): correct"),
    ],
)
def test_functions_that_cannot_be_called_are_errors(
    tmp_path: Path, name: str, message: str
) -> None:
    path = write(tmp_path, "my_functions", FUNCTIONS)
    with pytest.raises(ValueError, match=message):
        call_by_name(f"{path}:{name}")


def test_a_module_that_is_not_there_is_called_a_module(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no module .*my_functions.py: give"):
        call_by_name(f"{tmp_path / 'my_functions.py'}:three")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a.py:f", True),
        ("a.b:f", True),
        ("runs/a", False),
        ("owner/name", False),
        (":f", False),
        ("a.py:", False),
        ("a.py:2", False),
    ],
)
def test_calls_are_told_from_other_texts(source: str, found: bool) -> None:
    assert is_call(source) == found
