"""The check of prose finds what it should and leaves good prose alone."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prose():
    spec = importlib.util.spec_from_file_location("check_prose", ROOT / ".ci" / "check_prose.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_prose"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_prose"]


GOOD = '''
"""Heads: from activations to logits."""

SIZE = 3
"""Number of scales."""


class Head(Base):
    """A linear head, which tells wheels from rings.

    Args:
        table: Class and scale of each prototype; rows are
            in the order of the layer.
        *sizes: Height and width, (h, w).
        hook (Callable): ``wants`` is code and is not read as prose.
        k: 3 by default.

    Example:
        >>> Head(likewise=1)
    """

    @property
    def width(self):
        """The number of columns."""

    def forward(self, x):
        """Return the logits.

        Returns:
            For a batch, the logits (B, C): the classes are
            of the table.

        Raises:
            ValueError: If you want 3 and
                in fact give 4.
        """
        names = ["bear", "teddy bear", "house"]
        raise ValueError(f"got {x} maps, expected 4: add one")
'''


def test_good_prose_passes(prose) -> None:
    assert prose.check_python(GOOD) == []


def entry(section: str, line: str) -> str:
    return f'def read():\n    """Read.\n\n    {section}:\n        {line}\n    """\n'


@pytest.mark.parametrize(
    ("section", "line", "reason"),
    [
        ("Args", "seed: of the training.", "preposition 'of'"),
        ("Args", "seed: Of the training.", "preposition 'Of'"),
        ("Args", "seed (int): for threshold.", "preposition 'for'"),
        ("Attributes", "size: in pixels.", "preposition 'in'"),
        ("Args", "**options: with names.", "preposition 'with'"),
        ("Args", "size: height and width.", "small letter of 'height'"),
        ("Raises", "ValueError: if a label is no class.", "small letter of 'if'"),
        ("Returns", "the logits.", "small letter of 'the'"),
        ("Yields", "index: one of them.", "small letter of 'one'"),
    ],
)
def test_entries_that_are_fragments(prose, section, line, reason) -> None:
    (finding,) = prose.check_python(entry(section, line))
    assert finding.line == 5
    assert finding.reason.endswith(reason)
    assert finding.text == line


@pytest.mark.parametrize("summary", ["The logits.", "How many there are.", "For functions."])
def test_summaries_that_are_no_commands(prose, summary) -> None:
    source = f'class A:\n    def f(self):\n        """{summary}"""\n'
    (finding,) = prose.check_python(source)
    assert (finding.line, finding.text) == (3, summary)
    assert not prose.check_python(source.replace("def f", "@property\n    def f"))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""Read.\n\nMend the labels."""', 3),
        ("x = 1  # taken up again", 1),
        ('def f():\n    raise ValueError(f"{x} maps came, expected 4")', 2),
        ('SIZE = 3\n"""The model wants it."""', 2),
        ("def tell(x): ...", 1),
        ("class Say: ...", 1),
        ("def f(misfit): ...", 1),
    ],
)
def test_words_to_avoid_in_code(prose, source, line) -> None:
    (finding,) = prose.check_python(source)
    assert finding.line == line
    assert finding.reason.startswith("avoid")


def test_words_to_avoid_on_pages_outside_code(prose) -> None:
    page = "A figure tells more.\n\n```python\n# likewise\n```\nThis is seen as `mend`, likewise.\n"
    assert [(f.line, f.reason) for f in prose.check_page(page)] == [
        (6, "avoid 'seen as'"),
        (6, "avoid 'likewise'"),
    ]


def test_tests_are_held_to_the_words_alone(prose, tmp_path) -> None:
    (tmp_path / "tests").mkdir()
    path = tmp_path / "tests" / "test_it.py"
    path.write_text('def test_what_to_tell():\n    """The answer."""\n    # It came late.\n')
    assert [finding.line for finding in prose.check(path)] == [3]


def test_command_line_names_file_and_line(prose, tmp_path, capsys) -> None:
    (tmp_path / "page.md").write_text("Fine.\nThey bring about change.\n")
    assert prose.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert printed == f"{tmp_path}/page.md:2: avoid 'bring about': They bring about change.\n"
    (tmp_path / "page.md").write_text("Fine.\n")
    assert prose.main([str(tmp_path)]) == 0
    with pytest.raises(FileNotFoundError, match="nowhere"):
        prose.main(["nowhere"])
