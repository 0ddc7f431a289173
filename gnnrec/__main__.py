"""`python -m gnnrec`."""

import sys

from gnnrec.cli import main

sys.exit(main())
