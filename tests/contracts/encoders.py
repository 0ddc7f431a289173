"""Under its older name: gnnrec.testing.encoders."""

from gnnrec.testing.encoders import *  # noqa: F403
