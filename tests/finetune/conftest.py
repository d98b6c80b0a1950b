"""A tiny sentence model that all tests here train copies of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_sentence_model(tmp_path_factory.mktemp("base"))
