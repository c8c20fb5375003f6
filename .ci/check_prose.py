"""Check what a pattern can hold of the prose in docstrings, comments, messages and pages.

Prints one `file:line: reason: text` per finding and exits with 1 if there are any. The rules:

- A summary of a function is an imperative sentence, so it begins with no article or preposition.
- An entry under Args, Attributes, Returns, Yields or Raises begins with a capital letter and with
  no preposition.
- Words to avoid are listed in `WORDS` and, for names in the package, in `NAMES`.

Tests are held to the words alone.

Example:
    python .ci/check_prose.py protoxai/losses docs/index.md
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT = ("protoxai", "benchmarks", "docs", "tests", ".ci", *sorted(map(str, Path().glob("*.md"))))

CODE, PAGE = "code", "page"
WORDS = {
    # Pattern: where it is avoided.
    r"came": (CODE, PAGE),
    r"mend|mends|mended|mending": (CODE, PAGE),
    r"likewise": (CODE, PAGE),
    r"the\sway\son": (CODE, PAGE),
    r"what\sis\sneeded\sto": (CODE, PAGE),
    r"(take|takes|taking|took|taken)\sup": (CODE, PAGE),
    r"foret(ell|ells|old|elling)": (CODE, PAGE),
    r"seen\sas": (CODE, PAGE),
    r"bears?|borne": (CODE, PAGE),
    r"(bring|brings|bringing|brought)\sabout": (CODE, PAGE),
    r"spelt|misspelt": (CODE, PAGE),
    r"nought|thereof|whereof|therein|wherein|hitherto|thence|whence": (CODE, PAGE),
    # People may `want` something, things require it.
    r"(?<!you\s)(?<!who\s)(?<!users\s)(want|wants|wanted)": (CODE, PAGE),
    # Code reports, prints or raises; on a page a figure may speak.
    r"tells?|told|telling": (CODE,),
    r"room|house": (CODE,),
}
NAMES = {"mend", "tell", "say", "spelt", "likewise", "foretell", "misfit", "misfits", "wanted"}

ALLOWED = (r"teddy bear", r"tell(s|ing)?\b[^.]*\b(apart|from)\b")
"""Phrases in which such a word is right; they are removed before the search."""
EXEMPT = ("test_prose_check.py",)
"""Files that quote such words on purpose."""

_PREPOSITIONS = """
about above across after against along among around as at before below beneath beside between beyond
by during for from in inside into of off on onto out outside over per since than through to toward
towards under until up upon with within without
"""
_NOUN_PHRASES_AND_QUESTIONS = """
a an the this that these those its their his her it they we each every all any some
how what where which whether who whose why when
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
NO_COMMAND = PREPOSITIONS.union(_NOUN_PHRASES_AND_QUESTIONS.split())

SECTIONS = {
    **dict.fromkeys(("Args", "Arguments", "Attributes", "Raises", "Warns"), True),
    **dict.fromkeys(("Returns", "Yields"), False),
}
"""Sections of a docstring; whether every entry has a name before its colon."""

SECTION = re.compile(r"^(?P<indent> *)(?P<title>[A-Z][a-z]+):\s*$")
NAMED_ENTRY = re.compile(r"^\*{0,2}[\w.\[\]]+(?: \([^)]*\))?: (?P<text>.+)")
EXAMPLE = re.compile(r"^\s*(>>>|\.\.\. ?)")
_AVOIDED = {
    place: re.compile(
        rf"(?<![\w`.])({'|'.join(word for word, where in WORDS.items() if place in where)})(?!\w)",
        re.IGNORECASE,
    )
    for place in (CODE, PAGE)
}
_ALLOWED = re.compile("|".join(ALLOWED), re.IGNORECASE)
_QUOTED_CODE = re.compile(r"``.+?``|`[^`]+`")


@dataclass(frozen=True, order=True)
class Finding:
    """A line that breaks a rule.

    Attributes:
        line: Number of the line in its file, from 1.
        reason: The rule it breaks.
        text: The offending text.
    """

    line: int
    reason: str
    text: str


def check_python(source: str, *, words_only: bool = False) -> list[Finding]:
    """Return the findings in a Python file, in the order of its lines.

    Args:
        source: Text of the file.
        words_only: Whether to look for words to avoid alone.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    docstrings = {node.value for node in nodes if _is_docstring(node)}
    found = set(_comment_findings(source))
    for node in nodes:
        if _is_text(node) and (node in docstrings or _is_sentence(node.value)):
            found |= set(_word_findings(node))
    if not words_only:
        for docstring in docstrings:
            found |= set(_entry_findings(docstring))
        for node in nodes:
            found |= {*_summary_findings(node), *_name_findings(node)}
    return sorted(found)


def check_page(text: str) -> list[Finding]:
    """Return the findings in a Markdown page; code blocks are left out.

    Args:
        text: Text of the page.
    """
    found, in_code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            found += _words(line, number, PAGE)
    return found


def check(path: Path) -> list[Finding]:
    """Return the findings in a file, as its suffix says: Python or Markdown.

    Args:
        path: The file.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return check_page(text)
    return check_python(text, words_only="tests" in path.parts)


def files(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the Python and Markdown files among the paths and below them.

    Args:
        paths: Files and folders.

    Raises:
        FileNotFoundError: If a path does not exist.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
        if path.is_file():
            yield path
        else:
            below = (file for kind in ("*.py", "*.md") for file in path.rglob(kind))
            yield from sorted(file for file in below if file.name not in EXEMPT)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_docstring(node: ast.AST) -> bool:
    """Return whether a statement is a bare string: a docstring, also one of an attribute."""
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _is_sentence(text: str) -> bool:
    """Return whether a string is a message rather than a key, a class name or a pattern."""
    return len(text.split()) >= 3 or text.strip().endswith(("?", "."))


def _comment_findings(source: str) -> Iterator[Finding]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _words(token.string, token.start[0], CODE)


def _word_findings(constant: ast.Constant) -> Iterator[Finding]:
    for number, line in enumerate(constant.value.splitlines(), constant.lineno):
        if not EXAMPLE.match(line):
            yield from _words(line, number, CODE)


def _words(line: str, number: int, place: str) -> Iterator[Finding]:
    prose = _ALLOWED.sub("", _QUOTED_CODE.sub("``", line))
    for match in _AVOIDED[place].finditer(prose):
        yield Finding(number, f"avoid {match[0]!r}", line.strip())


def _entry_findings(docstring: ast.Constant) -> Iterator[Finding]:
    """Yield the entries of a docstring's sections that are fragments."""
    section, base, entry_indent = "", 0, None
    for number, line in enumerate(docstring.value.splitlines(), docstring.lineno):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if match := SECTION.match(line):
            section, base, entry_indent = match["title"], len(match["indent"]), None
            continue
        if section and indent <= base:
            section = ""
        if section not in SECTIONS:
            continue
        first = entry_indent is None
        entry_indent = indent if entry_indent is None else entry_indent
        named = NAMED_ENTRY.match(line.strip()) if indent == entry_indent else None
        if named:
            text = named["text"]
        elif first and not SECTIONS[section]:
            text = line.strip()
        else:
            continue
        if reason := _fragment(text, named=bool(named)):
            yield Finding(number, reason, line.strip())


def _fragment(text: str, *, named: bool) -> str | None:
    word = re.match(r"[^\W\d_]+(?![\w(.\[])", text)
    # What a function returns may depend: "For a class, its own weights."
    if word and named and word[0].lower() in PREPOSITIONS:
        return f"the entry begins with the preposition {word[0]!r}"
    if word and word[0].islower():
        return f"the entry begins with the small letter of {word[0]!r}"
    return None


def _summary_findings(node: ast.AST) -> Iterator[Finding]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    # A property is read like an attribute, so its summary is a noun phrase.
    if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
        return
    summary = ast.get_docstring(node)
    word = re.match(r"\w+", summary) if summary else None
    if summary and word and word[0].lower() in NO_COMMAND:
        text = summary.splitlines()[0]
        yield Finding(node.body[0].lineno, f"the summary begins with {word[0]!r}", text)


def _name_findings(node: ast.AST) -> Iterator[Finding]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        name, line = node.name, node.lineno
    elif isinstance(node, ast.arg):
        name, line = node.arg, node.lineno
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        name, line = node.id, node.lineno
    else:
        return
    for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name):
        if part.lower() in NAMES:
            yield Finding(line, f"avoid {part!r} in a name", name)


def main(paths: Iterable[str]) -> int:
    """Print the findings in all files below the paths and return the exit status.

    Args:
        paths: Files and folders.
    """
    count = 0
    for path in files(paths):
        for finding in check(path):
            sys.stdout.write(f"{path}:{finding.line}: {finding.reason}: {finding.text}\n")
            count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or DEFAULT))
