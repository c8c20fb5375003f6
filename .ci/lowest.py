"""Print pip constraints that hold every direct dependency to the lowest version allowed.

Example:
    python .ci/lowest.py > lowest.txt && PIP_CONSTRAINT=$PWD/lowest.txt pip install ".[all]"
"""

import re
import sys
import tomllib
from pathlib import Path

LOWER_BOUND = re.compile(r"^(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<version>[\w.]+)")


def lowest(project: dict[str, object]) -> list[str]:
    """Return one `name==version` line per requirement with a lower bound."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    # The tools of `dev` and `docs` judge the code and are no promise to users: they stay current.
    tested = [each for name in ("train", "demo", "streaming") for each in extras[name]]
    requirements = [*project["dependencies"], *tested]  # type: ignore[misc]
    found = (LOWER_BOUND.match(requirement) for requirement in requirements)
    return [f"{match['name']}=={match['version']}" for match in found if match]


if __name__ == "__main__":
    document = tomllib.loads(Path("pyproject.toml").read_text())
    sys.stdout.write("\n".join(lowest(document["project"])) + "\n")
