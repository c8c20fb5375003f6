import sys
from pathlib import Path

import pytest

from protoxai.runtime.plugins import import_plugin


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
