"""Opening ONNX Runtime sessions: on the provider that was asked for, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.core import onnx_session
from dcgan.core.onnx_session import (
    CPU,
    CUDA,
    SessionError,
    available_providers,
    open_session,
    session_options,
)
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, find_release

MODEL = find_release(SHIPPED, DEFAULT_MODEL).folder / "generator.onnx"


@pytest.mark.parametrize("model", [MODEL, MODEL.read_bytes()], ids=["path", "content"])
def test_a_session_opens_on_the_cpu(model: Path | bytes):
    session = open_session(model, CPU)
    assert session.get_providers() == [CPU]
    assert [value.name for value in session.get_inputs()] == ["z"]


def test_options_reach_the_session():
    options = open_session(
        MODEL, CPU, options=session_options(intra_op_threads=3, spinning=False)
    ).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_file_that_is_no_model_is_named(tmp_path: Path):
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(SessionError, match=f"cannot load {tmp_path}/x.onnx on {CPU}: ") as caught:
        open_session(tmp_path / "x.onnx", CPU)
    assert "\n" not in str(caught.value)


def test_content_that_is_no_model_gets_the_name_it_was_given():
    with pytest.raises(SessionError, match="cannot load a graph in int8 on"):
        open_session(b"no model", CPU, name="a graph in int8")


def test_a_provider_that_is_missing_is_an_error_and_not_a_session_on_the_cpu():
    with pytest.raises(SessionError, match="TensorrtExecutionProvider"):
        open_session(MODEL, "TensorrtExecutionProvider")


@pytest.mark.skipif(CUDA in available_providers(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_an_error_and_not_a_session_on_the_cpu():
    with pytest.raises(SessionError, match=CUDA):
        open_session(MODEL, CUDA)


@pytest.mark.parametrize(("gpus", "expected"), [(0, [CPU]), (2, [CPU, CUDA])])
def test_cuda_is_available_where_the_library_and_a_gpu_are(
    monkeypatch: pytest.MonkeyPatch, gpus: int, expected: list[str]
):
    class Runtime:
        @staticmethod
        def get_available_providers() -> list[str]:
            return [CUDA, CPU]

    monkeypatch.setattr(onnx_session, "load_onnxruntime", lambda: Runtime)
    monkeypatch.setattr(onnx_session, "count_gpus", lambda: gpus)
    assert available_providers() == expected
