"""`python -m gnnrec`."""

import atexit
import os
import sys

from gnnrec.cli.main import main
from gnnrec.core import ranks

code = main()
if ranks.count() > 1:
    # A rank's work is done, but as Python takes torch's groups apart one of their threads aborts the process once in ten times.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
sys.exit(code)
