"""A CUDA driver for tests: host memory takes the place of a GPU's."""

import ctypes
from collections.abc import Callable


class FakeDriver:
    """The functions that copies need.

    Attributes:
        calls: names of the functions that were called, in order.
        devices: numbers of the GPUs that were opened.
        stream_flags: of the streams that were made.
        sizes: bytes of each copy.

    Args:
        refuse: a function that fails.
        damage: a function that flips a bit of what it copies.
    """

    def __init__(self, refuse: str | None = None, damage: str | None = None) -> None:
        self.calls: list[str] = []
        self.devices: list[int] = []
        self.stream_flags: list[int] = []
        self.sizes: list[int] = []
        self._memory: dict[int, object] = {}
        self._refuse = refuse
        self._damage = damage
        self._functions: dict[str, Callable[..., None]] = {
            "cuDeviceGet": lambda device, ordinal: self.devices.append(ordinal),
            "cuStreamCreate": lambda stream, flags: self.stream_flags.append(flags),
            "cuMemHostAlloc": self._allocate,
            "cuMemFreeHost": lambda pointer: self._memory.pop(pointer.value),
            "cuMemcpyHtoDAsync_v2": self._copy,
            "cuMemcpyDtoHAsync_v2": self._copy,
        }

    @property
    def allocated(self) -> int:
        """How many page-locked buffers have not been freed."""
        return len(self._memory)

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: object) -> int:
            self.calls.append(name)
            if name == self._refuse:
                return 700
            self._functions.get(name, lambda *_: None)(*arguments)
            if name == self._damage:
                ctypes.c_uint8.from_address(arguments[0]).value ^= 1
            return 0

        return call

    def _allocate(self, pointer, size, flags) -> None:
        memory = ctypes.create_string_buffer(size)
        pointer._obj.value = ctypes.addressof(memory)
        self._memory[ctypes.addressof(memory)] = memory

    def _copy(self, to, source, size, stream) -> None:
        self.sizes.append(size)
        ctypes.memmove(to, source, size)
