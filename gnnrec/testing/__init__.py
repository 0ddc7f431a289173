"""Contract suites for strategies, encoders, objectives and data sets, and small worlds to run them in. They need pytest."""

import pytest

pytest.register_assert_rewrite(
    *(f"gnnrec.testing.{suite}" for suite in ("strategies", "encoders", "objectives", "datasets"))
)
