"""``python -m vsd`` is the command `vsd`."""

import sys

from vsd.cli import main

if __name__ == "__main__":
    sys.exit(main())
