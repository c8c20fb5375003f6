"""The package's names, whatever was imported before."""

import subprocess
import sys

import pytest

IMPORTS = {
    "function": "from protoxai.comparison import compare",
    "module first": "import protoxai.comparison.compare; from protoxai.comparison import compare",
    "module afterwards": (
        "from protoxai.comparison import compare as first; import protoxai.comparison.compare; "
        "from protoxai.comparison import compare; assert compare is first"
    ),
    "name in the module": "from protoxai.comparison.compare import compare",
}


@pytest.mark.slow
@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_compare_is_the_function(statement: str) -> None:
    code = (
        f"{statement}\n"
        "import protoxai.comparison, types\n"
        "assert isinstance(compare, types.FunctionType)\n"
        "assert protoxai.comparison.compare is compare\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
