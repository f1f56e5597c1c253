"""Copies through page-locked memory, with a driver whose GPU memory is host memory."""

import ctypes
import gc

import numpy as np
import pytest

from dcgan.core.cuda_driver import CudaDriverError, PinnedTransfer
from tests.core.fake_cuda import FakeDriver


def test_what_is_uploaded_comes_back():
    driver = FakeDriver()
    transfer = PinnedTransfer(3, driver)
    device = ctypes.create_string_buffer(24)
    values = transfer.allocate((2, 3), np.float32)
    values[...] = np.arange(6).reshape(2, 3)

    transfer.upload(values, ctypes.addressof(device))
    assert device.raw == values.tobytes()

    into = transfer.allocate((2, 3), np.float32)
    transfer.download(ctypes.addressof(device), into[:1])
    np.testing.assert_array_equal(into, [[0, 1, 2], [0, 0, 0]])
    assert driver.devices == [3]


def test_each_copy_is_waited_for_on_a_stream_that_does_not_block_others():
    driver = FakeDriver()
    transfer = PinnedTransfer(0, driver)
    device = ctypes.create_string_buffer(8)
    values = transfer.allocate((8,), np.uint8)
    driver.calls.clear()

    transfer.upload(values, ctypes.addressof(device))
    transfer.download(ctypes.addressof(device), values)

    assert driver.calls == [
        "cuCtxSetCurrent",
        "cuMemcpyHtoDAsync_v2",
        "cuStreamSynchronize",
        "cuCtxSetCurrent",
        "cuMemcpyDtoHAsync_v2",
        "cuStreamSynchronize",
    ]
    assert driver.stream_flags == [1]


def test_page_locked_memory_lives_as_long_as_its_arrays():
    driver = FakeDriver()
    transfer = PinnedTransfer(0, driver)
    array = transfer.allocate((4, 4), np.int64)
    view = array[1:, 0]
    del array
    gc.collect()
    assert driver.allocated == 1
    del view
    gc.collect()
    assert driver.allocated == 0


@pytest.mark.parametrize("refused", ["cuStreamCreate", "cuMemHostAlloc", "cuMemcpyHtoDAsync_v2"])
def test_a_refusal_of_the_driver_is_named(refused):
    with pytest.raises(CudaDriverError, match=f"{refused} .* error code 700"):
        transfer = PinnedTransfer(0, FakeDriver(refuse=refused))
        transfer.upload(transfer.allocate((1,), np.uint8), 0)
