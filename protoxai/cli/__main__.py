"""Run the command line by ``python -m protoxai.cli``."""

import sys

from protoxai.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
