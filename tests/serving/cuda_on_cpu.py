"""The code path of CUDA on the CPU provider, for tests without a GPU."""

import pytest

from dcgan.core.onnx_session import CPU
from dcgan.serving.engine import factory, fixed_batch
from dcgan.serving.errors import ServingError
from tests.core.fake_cuda import FakeDriver


def run_cuda_on_cpu(
    monkeypatch: pytest.MonkeyPatch, driver: FakeDriver, refuse_graphs: str = ""
) -> list[dict]:
    """Replaces CUDA by the CPU provider and a driver of host memory.

    Returns:
        The provider options of each session that is opened from now on.
    """
    opened = []

    def open_session(path, provider, options, provider_options, *, content=None):
        opened.append(provider_options)
        if refuse_graphs and "enable_cuda_graph" in provider_options:
            raise ServingError(refuse_graphs)
        return real_open(path, CPU, options, None, content=content)

    real_open = fixed_batch.open_session
    real_session = fixed_batch.FixedBatchSession
    real_transfer = fixed_batch.PinnedTransfer
    monkeypatch.setattr(fixed_batch, "open_session", open_session)
    monkeypatch.setattr(
        fixed_batch,
        "FixedBatchSession",
        lambda session, shape, **_: real_session(session, shape, device="cpu"),
    )
    monkeypatch.setattr(
        fixed_batch, "PinnedTransfer", lambda device_id: real_transfer(device_id, driver)
    )
    monkeypatch.setattr(factory, "check_cuda", lambda devices: None)
    return opened
