import errno
import json
import threading
from pathlib import Path

import huggingface_hub
import pytest
import torch

from protoxai import folders
from protoxai.folders import CONFIG, PROVENANCE, WEIGHTS, read_folder, write_folder
from protoxai.folders.layout import digest_of
from protoxai.runtime.files import FileError

FILES = {CONFIG: {"classes": ["Straße", "hill"], "epsilon": 1e-4}, PROVENANCE: [{"row": 1}, {}]}


def tensors(value: float = 0.1) -> dict[str, torch.Tensor]:
    return {
        "a": torch.full((2, 3), value),
        "b.c": torch.tensor([1, -2]),
        "half": torch.ones(1).half(),
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "model", FILES, tensors())
    return tmp_path / "model"


def test_what_is_written_is_read(folder: Path) -> None:
    files, weights = read_folder(folder)
    assert files == FILES
    assert weights.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert weights[name].dtype == tensor.dtype
        assert torch.equal(weights[name], tensor)


def test_names_of_the_files(folder: Path) -> None:
    assert (WEIGHTS, CONFIG, PROVENANCE) == (
        "model.safetensors",
        "config.json",
        "provenance.json",
    )
    assert set(contents(folder)) == {WEIGHTS, CONFIG, PROVENANCE}


def test_json_is_text_a_person_reads(folder: Path) -> None:
    text = (folder / CONFIG).read_text(encoding="utf-8")
    assert json.loads(text).items() >= FILES[CONFIG].items()
    assert "Straße" in text
    assert len(text.splitlines()) > 3


def test_nothing_is_pickled(folder: Path) -> None:
    for content in contents(folder).values():
        assert not content.startswith((b"\x80", b"PK"))


def test_parents_are_made_and_names_may_be_strings(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b")
    write_folder(path, FILES, tensors())
    assert read_folder(path)[0] == FILES


def test_tensors_of_any_device_and_memory_layout(tmp_path: Path, device: torch.device) -> None:
    images = torch.rand(2, 3, 4, 5, requires_grad=True).to(memory_format=torch.channels_last)
    given = {"turned": torch.rand(3, 2, device=device).T, "last": images.to(device)}
    write_folder(tmp_path, FILES, given)
    for name, tensor in read_folder(tmp_path)[1].items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, given[name].detach().cpu())


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    tied = torch.rand(3)
    write_folder(tmp_path, FILES, {"embedding": tied, "output": tied})
    weights = read_folder(tmp_path)[1]
    assert torch.equal(weights["embedding"], tied)
    assert torch.equal(weights["output"], tied)


@pytest.mark.parametrize("failing", [WEIGHTS, CONFIG, PROVENANCE])
def test_a_failing_write_leaves_the_old_file(
    failing: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    write = folders.writing.write_file

    def fill_the_disk(path: Path, content: bytes) -> None:
        if path.name == failing:
            raise OSError(errno.ENOSPC, "no space left")
        write(path, content)

    monkeypatch.setattr(folders.writing, "write_file", fill_the_disk)
    message = rf"could not be saved in {folder} \(no space left\): free some space"
    with pytest.raises(OSError, match=message) as caught:
        write_folder(folder, {CONFIG: {"other": 1}, PROVENANCE: []}, tensors(0.2))
    assert caught.value.errno == errno.ENOSPC
    assert contents(folder)[failing] == before[failing]
    monkeypatch.undo()
    if contents(folder) != before:
        with pytest.raises(ValueError, match="its saving was interrupted"):
            read_folder(folder)


@pytest.mark.parametrize("place", ["model.safetensors", "model.safetensors/inside"])
def test_a_file_in_the_way_is_named(place: str, folder: Path) -> None:
    with pytest.raises(OSError, match=rf"could not be saved in {folder / place} \("):
        write_folder(folder / place, FILES, tensors())
    assert read_folder(folder)[0] == FILES


def test_content_that_is_no_json_leaves_the_old_folder(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(TypeError):
        write_folder(folder, {CONFIG: object()}, tensors(0.2))
    assert contents(folder) == before


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_missing_file(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=rf"{folder} holds no {name}, expected.*save_pretrained"):
        read_folder(folder)


def test_missing_document(folder: Path) -> None:
    (folder / PROVENANCE).unlink()
    with pytest.raises(ValueError, match=rf"{folder} holds no {PROVENANCE}, which its {CONFIG}"):
        read_folder(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, PROVENANCE])
def test_damaged_file(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"{folder} is damaged .{name}: .*save the model again"):
        read_folder(folder)


@pytest.mark.parametrize("name", [WEIGHTS, PROVENANCE])
def test_file_of_another_folder(name: str, folder: Path, tmp_path: Path) -> None:
    """Both are valid alone, but they do not belong together."""
    write_folder(tmp_path / "other", {**FILES, PROVENANCE: [{}, {}]}, tensors(0.2))
    (tmp_path / "other" / name).replace(folder / name)
    with pytest.raises(ValueError, match=rf"{name}: it is not the file that {CONFIG} was saved"):
        read_folder(folder)


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps({**config, **changes}), encoding="utf-8")


def test_a_value_changed_by_hand(folder: Path) -> None:
    edit(folder, epsilon=1e-3)
    with pytest.raises(ValueError, match=rf"{folder} is damaged .{CONFIG}: it has changed since"):
        read_folder(folder)
    edit(folder, epsilon=1e-4)
    assert read_folder(folder)[0] == FILES


@pytest.mark.parametrize(
    "files",
    [
        None,
        {},
        {WEIGHTS: 1},
        {WEIGHTS: "0" * 64, "../other.json": "0" * 64},
        {WEIGHTS: "0" * 64, CONFIG: "0" * 64},
        {WEIGHTS: "0" * 64, "code.py": "0" * 64},
    ],
)
def test_digests_that_are_none(files: object, folder: Path) -> None:
    edit(folder, files=files)
    with pytest.raises(ValueError, match=rf"{folder} is damaged .{CONFIG}: files"):
        read_folder(folder)


def test_names_that_no_file_can_have_are_missing_files(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["files"][f"{'a' * 5000}.json"] = "0" * 64
    del config["digest"]
    edit(folder, files=config["files"], digest=digest_of(config))
    with pytest.raises(FileError, match=r"holds no a+\.json, which its config\.json lists"):
        read_folder(folder)


@pytest.mark.parametrize("number", ["2", True, 2.0, None, 0])
def test_format_that_is_none(number: object, folder: Path) -> None:
    edit(folder, format=number)
    with pytest.raises(ValueError, match=rf"{CONFIG}: format is {number!r}, expected one of"):
        read_folder(folder)


def test_format_of_tomorrow(folder: Path) -> None:
    edit(folder, format=3)
    with pytest.raises(ValueError, match=rf"{folder} .*format 3, .*update protoxai"):
        read_folder(folder)


def test_further_documents_need_no_other_format(folder: Path) -> None:
    files = {**FILES, "training.json": {"steps": 3}, "note-2.json": "ä"}
    write_folder(folder, files, tensors())
    assert read_folder(folder)[0] == files
    (folder / "training.json").write_text('{"steps": 4}')
    with pytest.raises(ValueError, match=r"training.json: it is not the file"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../out.json", "a/b.json", ".json", "notes.txt", ""])
def test_documents_have_plain_names(name: str, folder: Path) -> None:
    with pytest.raises(ValueError, match="expected a plain file name"):
        write_folder(folder, {**FILES, name: 1}, tensors())


def test_threads_that_save_to_one_folder(folder: Path) -> None:
    def save(value: float) -> None:
        for _ in range(5):
            write_folder(folder, {CONFIG: {"value": value}}, tensors(value))

    threads = [threading.Thread(target=save, args=(value,)) for value in (0.25, 0.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents, weights = read_folder(folder)
    assert weights["a"][0, 0] == documents[CONFIG]["value"]


def test_a_folder_with_a_model_inside_is_told_apart(folder: Path) -> None:
    with pytest.raises(ValueError, match=rf"{folder.parent} holds no .*: {folder} is one"):
        read_folder(folder.parent)


def test_json_of_others_in_the_folder_is_left_alone(folder: Path) -> None:
    (folder / "notes.json").write_text("{not json")
    assert read_folder(folder)[0] == FILES


@pytest.mark.parametrize("source", ["/nowhere/at/all", "nowhere", "a/b/c", "https://hub/a/b"])
def test_no_folder_and_no_hub_id(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", pytest.fail)
    message = rf"there is no folder {source}: expected.*save_pretrained, or a hub id owner/name"
    with pytest.raises(ValueError, match=message):
        read_folder(source)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no folder .*model\.safetensors"):
        read_folder(folder / WEIGHTS)


def test_hub_id_is_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        requests.append((repo_id, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert read_folder("owner/name-1.0")[0] == FILES
    assert requests[0][0] == "owner/name-1.0"
    patterns = ["*.json", WEIGHTS, "prototypes.safetensors", "prototypes/*.webp"]
    assert requests[0][1] == patterns


def test_a_folder_comes_before_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", pytest.fail)
    monkeypatch.chdir(folder.parent.parent)
    assert read_folder(f"{folder.parent.name}/{folder.name}")[0] == FILES


def test_hub_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match=r"owner/name is not a folder.*hub id.*no route"):
        read_folder("owner/name")
