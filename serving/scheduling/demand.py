"""The size, arrival and deadline of a request, as the scheduler needs them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcgan.serving.peer import LOCAL, Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Facts of a request, or of one chunk of a stream, that decide how it is scheduled.

    The service creates it once; the dispatcher, the batcher and the PNG queue only read it. All
    times are on the same monotonic clock, in seconds.

    Attributes:
        images: number of images to make now, 1 or more.
        request_images: number of images of the whole request; more than `images` for the first
            chunk of a stream.
        arrived: time of the request.
        deadline: time after which the client has no use for the images; infinity if there is none.
        reserve_s: time to leave between the engine and the deadline for encoding the images.
        peer: client that wants the images.
        is_continuation: whether this is a later chunk of a request that was admitted before. It is
            exempt from the queue limit and from estimates, and is stopped only by its deadline.
    """

    images: int
    request_images: int
    arrived: float
    deadline: float = math.inf
    reserve_s: float = 0.0
    peer: Peer = LOCAL
    is_continuation: bool = False

    @property
    def engine_deadline(self) -> float:
        """Time by which the engine must have made the images."""
        return self.deadline - self.reserve_s

    @property
    def time_left_s(self) -> float:
        """Time from the arrival to the deadline."""
        return self.deadline - self.arrived
