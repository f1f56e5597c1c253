"""What holds for all tests."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from dcgan.core.cuda_driver import count_gpus

# Servers that tests start side by side must not meet on the default port of HTTP.
os.environ.setdefault("DCGAN_SERVE_HTTP_PORT", "0")

# A busy machine takes its time for an example now and then, which is no failure.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Hides GPUs from all tests but those of `make test-gpu`.

    Tests compare bytes with the CPU's, and servers and exports would otherwise take a GPU where
    there is one. CUDA reads the variable once in each process, so a test cannot set it.
    """
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test with the marker `gpu` where no GPU is visible."""
    if item.get_closest_marker("gpu") is not None and count_gpus() == 0:
        pytest.skip("no NVIDIA GPU is visible; `make test-gpu` runs this test where there is one")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no settings of the user's environment."""
    for variable in ("DCGAN_ZOO_INDEX", "DCGAN_ZOO_MODEL_REPOSITORY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def write_holes() -> Callable[[Path], None]:
    """Writes a safetensors file whose tensor of 2 GiB is a hole on the disk."""

    def write(path: Path) -> None:
        end = 2**31
        tensor = {"dtype": "F32", "shape": [end // 4], "data_offsets": [0, end]}
        header = json.dumps({"hidden.0.weight": tensor}).encode()
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + end)

    return write
