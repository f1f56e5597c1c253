"""The CUDA driver: number of GPUs, and copies between page-locked host memory and a GPU.

ONNX Runtime's Python interface copies from and to pageable memory, and holds Python's lock while it
does, so that no other thread prepares or copies a batch. A copy from page-locked memory is made by
the GPU's copy engine while kernels run, and `ctypes` releases the lock during each call.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dcgan.core.errors import DcganError

Scalar = TypeVar("Scalar", bound=np.generic)

# Values of the enumerations of cuda.h.
_PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE: page-locked for every context
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream

_POINTER = ctypes.c_void_p
_ARGUMENT_TYPES = {
    "cuInit": [ctypes.c_uint],
    "cuDeviceGetCount": [ctypes.POINTER(ctypes.c_int)],
    "cuDeviceGet": [ctypes.POINTER(ctypes.c_int), ctypes.c_int],
    "cuDevicePrimaryCtxRetain": [ctypes.POINTER(_POINTER), ctypes.c_int],
    "cuCtxSetCurrent": [_POINTER],
    "cuStreamCreate": [ctypes.POINTER(_POINTER), ctypes.c_uint],
    "cuStreamSynchronize": [_POINTER],
    "cuMemHostAlloc": [ctypes.POINTER(_POINTER), ctypes.c_size_t, ctypes.c_uint],
    "cuMemFreeHost": [_POINTER],
    "cuMemcpyHtoDAsync_v2": [ctypes.c_uint64, _POINTER, ctypes.c_size_t, _POINTER],
    "cuMemcpyDtoHAsync_v2": [_POINTER, ctypes.c_uint64, ctypes.c_size_t, _POINTER],
}


class CudaDriverError(DcganError):
    """A call of the CUDA driver failed."""


class Driver(Protocol):
    """The functions of libcuda, which return 0 or an error code."""

    def __getattr__(self, name: str) -> ctypes._NamedFuncPointer:
        """Returns a function by its name."""


def load_driver() -> Driver:
    """Loads and initializes the CUDA driver.

    Raises:
        CudaDriverError: if there is none, or no GPU.
    """
    try:
        driver: Driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaDriverError(f"there is no CUDA driver: {error}") from None

    for name, types in _ARGUMENT_TYPES.items():
        getattr(driver, name).argtypes = types
    _call(driver, "cuInit", 0)
    return driver


def count_gpus() -> int:
    """Returns how many GPUs the CUDA driver offers to this process; 0 without a driver."""
    count = ctypes.c_int(0)
    try:
        _call(load_driver(), "cuDeviceGetCount", ctypes.byref(count))
    except CudaDriverError:
        return 0
    return count.value


class PinnedTransfer:
    """Copies between page-locked arrays and buffers on a GPU, on a stream of its own.

    The buffers must not be written by another stream at the same time: a run of a session has to
    have ended. Not thread-safe.

    Args:
        device_id: number of the GPU.
        driver: the CUDA driver; a substitute in tests.

    Raises:
        CudaDriverError: if the driver refuses.
    """

    def __init__(self, device_id: int = 0, driver: Driver | None = None) -> None:
        self._driver = driver or load_driver()
        device = ctypes.c_int(0)
        self._context = _POINTER()
        self._stream = _POINTER()

        # The primary context is the one that ONNX Runtime uses.
        self._call("cuDeviceGet", ctypes.byref(device), device_id)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuStreamCreate", ctypes.byref(self._stream), _NON_BLOCKING)

    def allocate(self, shape: tuple[int, ...], dtype: type[Scalar]) -> NDArray[Scalar]:
        """Returns an array of zeros in page-locked memory, which is freed with it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        pointer = _POINTER()
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuMemHostAlloc", ctypes.byref(pointer), size, _PORTABLE)

        memory = (ctypes.c_uint8 * size).from_address(pointer.value or 0)
        free = weakref.finalize(memory, self._driver.cuMemFreeHost, pointer)
        free.atexit = False  # the driver may be gone by then, and the memory with it
        array = np.frombuffer(memoryview(memory), dtype=dtype).reshape(shape)
        array.fill(0)
        return array

    def upload(self, values: NDArray[np.generic], device_pointer: int) -> None:
        """Copies a contiguous page-locked array to the GPU, and waits until it is there."""
        self._call("cuCtxSetCurrent", self._context)
        arguments = (device_pointer, values.ctypes.data, values.nbytes, self._stream)
        self._call("cuMemcpyHtoDAsync_v2", *arguments)
        self._call("cuStreamSynchronize", self._stream)

    def download(self, device_pointer: int, into: NDArray[np.generic]) -> None:
        """Fills a contiguous page-locked array from the GPU, and waits until it is filled."""
        self._call("cuCtxSetCurrent", self._context)
        arguments = (into.ctypes.data, device_pointer, into.nbytes, self._stream)
        self._call("cuMemcpyDtoHAsync_v2", *arguments)
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, name: str, *arguments: object) -> None:
        _call(self._driver, name, *arguments)


def _call(driver: Driver, name: str, *arguments: object) -> None:
    code = getattr(driver, name)(*arguments)
    if code != 0:
        raise CudaDriverError(f"{name} of the CUDA driver failed with error code {code}")
