"""`python -m gnnrec`."""

import sys

from gnnrec.cli.main import main

sys.exit(main())
