"""The base of both clients' connections: a channel, and how a call on it is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

ChannelT = TypeVar("ChannelT")


@dataclass(frozen=True)
class ConnectionBase(Generic[ChannelT]):
    """A channel, and what every call on it needs.

    Attributes:
        target: resolved target that it leads to.
        channel: the channel, of grpcio or of grpc.aio.
        stub: methods of the service on that channel.
        metadata: sent with each call, including the token.
    """

    target: str
    channel: ChannelT
    stub: GeneratorServiceStub
    metadata: tuple[tuple[str, str | bytes], ...] = field(repr=False)

    # What a stub returns has another type for each method and kind of channel.
    def call(self, method: str, request: Message, timeout_s: float) -> Any:  # noqa: ANN401
        """Starts a call of the method with that name, and returns what the stub returns."""
        return getattr(self.stub, method)(request, timeout=timeout_s, metadata=self.metadata)
