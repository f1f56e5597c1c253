"""Fixtures of the tests that cross the parts."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no settings of the user's environment."""
    for variable in ("DCGAN_ZOO_INDEX", "DCGAN_ZOO_MODEL_REPOSITORY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
