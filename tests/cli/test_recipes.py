import pytest

from protoxai.cli.main import main
from protoxai.training.recipes.yaml_files import shipped_recipes


def test_every_shipped_recipe_is_a_line_with_method_and_title(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROTOXAI_PASCAL_VOC", raising=False)
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert rows["pascal_voc_protoseg"] == ["ProtoSeg", "ProtoSeg on Pascal VOC 2012"]
    assert rows["ade20k_deeplabv2"] == ["DeepLabv2", "Plain DeepLabv2 on ADE20K"]
    assert rows["shapes"] == ["ScaleProtoSeg", "Synthetic shapes"]
