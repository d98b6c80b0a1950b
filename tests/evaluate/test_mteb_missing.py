"""Without the library mteb."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from semvec.encoders.word import WordEncoder
from semvec.errors import MissingExtra
from semvec.evaluate.mteb import MtebEncoder
from semvec.evaluate.mteb_tasks import local_task


def test_a_missing_library_is_named_with_the_command(word: WordEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtra, match=r'pip install "semvec\[mteb\]"'):
        MtebEncoder(word)
    with pytest.raises(MissingExtra, match=r'pip install "semvec\[mteb\]"'):
        local_task("sts", "s", tmp_path)
