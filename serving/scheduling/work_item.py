"""A demand in the queue, and its progress."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from dcgan.serving.scheduling.demand import Demand


class WorkState(Enum):
    """State of a work item; every state but WAITING is final."""

    WAITING = "waiting"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(eq=False, slots=True, kw_only=True)
class WorkItem:
    """An admitted demand and its progress, which only the batcher changes. Subclasses add the data.

    Attributes:
        demand: what the request needs.
        state: current state.
        started: time when its first image was given to an engine; infinity before that.
        dispatched: number of images that were given to engines.
        completed: number of images that engines have made.
        in_rotation: whether it takes part in the round robin, or will as soon as it is enqueued.
    """

    demand: Demand
    state: WorkState = WorkState.WAITING
    started: float = math.inf
    dispatched: int = 0
    completed: int = 0
    in_rotation: bool = False

    @property
    def images(self) -> int:
        """Number of requested images."""
        return self.demand.images

    @property
    def undispatched(self) -> int:
        """Number of images that still wait for an engine."""
        return self.demand.images - self.dispatched

    def is_expired(self, now: float) -> bool:
        """Returns whether an engine has no time left for it."""
        return self.demand.engine_deadline <= now


@dataclass(slots=True)
class WorkCounts:
    """Number of work items since the start, by outcome.

    At any time: offered = accepted + rejected, and accepted = ok + failed + cancelled + expired +
    waiting.

    Attributes:
        offered: items for which admission was asked.
        accepted: items that were admitted.
        rejected: items that were refused.
        waiting: items that were admitted and have no final state, whether on an engine or not.
        settled: items by final state.
    """

    offered: int = 0
    accepted: int = 0
    rejected: int = 0
    waiting: int = 0
    settled: dict[WorkState, int] = field(
        default_factory=lambda: {state: 0 for state in WorkState if state is not WorkState.WAITING}
    )

    def by_outcome(self) -> dict[str, int]:
        """Returns the counters under the names that the metrics use."""
        outcomes = {
            "offered": self.offered,
            "accepted": self.accepted,
            "rejected": self.rejected,
        }
        return outcomes | {state.value: count for state, count in self.settled.items()}
