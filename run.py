"""python run.py pruner=hippo ratio=0.9    Every option and dial: conf/, or python run.py --help."""

import sys

from vsd.cli import main

if __name__ == "__main__":
    sys.exit(main())
