"""Under its older name: gnnrec.testing.worlds."""

from gnnrec.testing.worlds import *  # noqa: F403
