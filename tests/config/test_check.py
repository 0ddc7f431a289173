"""Values of a configuration against the type of what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gnnrec.config.check import fitting
from gnnrec.core.errors import GnnrecError


@pytest.mark.parametrize(
    ("value", "kind", "want"),
    [
        (1e4, int, 10_000),
        (1, float, 1.0),
        (7, str, "7"),
        (None, int | None, None),
        (2, float | int | str | None, 2),
        (False, bool | None, False),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 5], Sequence[float] | None, [1.0, 5.0]),
        ("a.csv", str | Sequence[str] | None, "a.csv"),
        ({"a": 1}, Mapping[str, object] | None, {"a": 1}),
    ],
)
def test_what_fits_is_given_as_the_type_wants_it(value, kind, want):
    found = fitting(value, kind, "key")
    assert found == want
    assert type(found) is type(want)


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("abc", float, "key=abc is not a number"),
        (1.5, int, "key=1.5 is not a whole number"),
        (float("nan"), int, "key=nan is not a whole number"),
        (True, int, "key=True is not a whole number"),
        (None, str, "key=None is not text"),
        ({"a": 1}, str, "is not text"),
        ("perhaps", bool, "key=perhaps is not true or false"),
        (3, tuple[int, ...], "key=3 is not a list of whole numbers"),
        ([1, "a"], Sequence[float], "key=a is not a number"),
        (5, Sequence[float] | None, "key=5 is not a list of numbers or null"),
    ],
)
def test_what_does_not_is_named_with_its_key(value, kind, said):
    with pytest.raises(GnnrecError, match=said.replace("(", r"\(")):
        fitting(value, kind, "key")
