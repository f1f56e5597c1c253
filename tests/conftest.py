"""What holds for all tests."""

import os

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
