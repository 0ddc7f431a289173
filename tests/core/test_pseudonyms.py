"""Names in the place of ids: the same under one key, others under another, and nobody but the owner has the key."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.core.pseudonyms import key_at, pseudonyms


def test_a_pseudonym_is_a_keyed_hash():
    assert pseudonyms(["anna"], b"k" * 16) == [hmac.new(b"k" * 16, b"anna", hashlib.sha256).hexdigest()[:16]]
    assert pseudonyms(["anna", "bo"], b"k" * 16) != pseudonyms(["anna", "bo"], b"l" * 16)


def test_a_key_is_made_once_and_is_its_owners(tmp_path):
    path = tmp_path / "below" / "key"
    first = key_at(path)
    assert key_at(path) == first
    assert path.stat().st_mode & 0o077 == 0
    assert key_at(tmp_path / "other") != first


@pytest.mark.parametrize(
    ("content", "mode", "told"), [("k" * 40, 0o644, "chmod 600"), ("short", 0o600, "holds 5 bytes")]
)
def test_a_key_that_others_can_read_or_guess_is_refused(tmp_path, content, mode, told):
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(GnnrecError, match=told):
        key_at(path)


def test_a_key_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GnnrecError, match="cannot be used"):
        key_at(tmp_path / "file" / "key")
