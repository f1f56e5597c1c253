"""Reasons why the scheduler refuses or drops a request."""

from __future__ import annotations

from typing import ClassVar

from dcgan.serving.errors import RequestError, RetryableError


class QueueFullError(RetryableError):
    """The queue has no room for the request of this client.

    Args:
        limit_images: capacity of the queue for one client.
        retry_after_s: estimated time until the queue has room.
    """

    reason: ClassVar[str] = "QUEUE_FULL"

    def __init__(self, limit_images: int, retry_after_s: float) -> None:
        message = (
            f"the queue of {limit_images} images is full for this client; "
            f"retry in {retry_after_s:.3g} s"
        )
        super().__init__(message, retry_after_s)
        self.limit_images = limit_images


class DeadlinePassedError(RequestError):
    """The deadline passed before the images were made."""

    reason: ClassVar[str] = "DEADLINE_PASSED"

    def __init__(self) -> None:
        super().__init__(
            "the deadline of the request passed while it waited; "
            "allow more time or request fewer images"
        )


class DeadlineUnreachableError(RequestError):
    """At the measured throughput, the images cannot be ready before the deadline.

    Args:
        needed_s: estimated time until the images would be ready.
        left_s: time until the deadline.
    """

    reason: ClassVar[str] = "DEADLINE_UNREACHABLE"

    def __init__(self, needed_s: float, left_s: float) -> None:
        super().__init__(
            f"the images would be ready in {needed_s:.3g} s but the deadline is in {left_s:.3g} s; "
            "allow more time"
        )
        self.needed_s = needed_s
        self.left_s = left_s


class EngineStuckError(RetryableError):
    """The watchdog found that an engine has stalled."""

    reason: ClassVar[str] = "ENGINE_STUCK"

    def __init__(self) -> None:
        super().__init__("the engine stalled; retry on another replica, or here in a second")
