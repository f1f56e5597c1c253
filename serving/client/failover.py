"""Stubs of several servers that take turns, each with a channel of its own.

gRPC checks the certificates of all addresses of a channel against one name. So with TLS, servers of
different names need a channel each, and the calls are distributed here instead of by a channel:
they go to one server after the other, and to the next one if a server does not answer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from threading import Lock
from typing import Any

import grpc
from google.protobuf.message import Message

from dcgan.serving.client.retry import is_retryable
from dcgan.v1 import generator_pb2 as pb

Metadata = tuple[tuple[str, str | bytes], ...]

_PASS_OVER_S = 5.0  # time in which a server that did not answer is tried last
_METHODS = pb.DESCRIPTOR.services_by_name["GeneratorService"].methods_by_name


class Turns:
    """The order in which servers are tried. It may be shared between threads.

    Args:
        count: number of servers.
    """

    def __init__(self, count: int) -> None:
        self._lock = Lock()
        self._next = 0
        self._silent_until = [0.0] * count

    def order(self) -> list[int]:
        """Returns the numbers of all servers, in the order in which a call tries them."""
        now = time.monotonic()
        with self._lock:
            count = len(self._silent_until)
            first = self._next
            self._next = (first + 1) % count
            turns = [(first + i) % count for i in range(count)]
            return sorted(turns, key=lambda i: self._silent_until[i] > now)

    def report(self, server: int, error: grpc.RpcError | None) -> None:
        """Records how a call to a server ended; `error` is None for a success."""
        is_silent = error is not None and error.code() is grpc.StatusCode.UNAVAILABLE
        with self._lock:
            self._silent_until[server] = time.monotonic() + _PASS_OVER_S if is_silent else 0.0


class FailoverStub:
    """Stands in for the stub of a blocking client.

    Args:
        stubs: of the servers.
    """

    def __init__(self, stubs: Sequence[Any]) -> None:
        self._stubs = stubs
        self._turns = Turns(len(stubs))

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - as grpcio's stubs
        if method not in _METHODS:
            raise AttributeError(method)
        calls = [getattr(stub, method) for stub in self._stubs]
        kind = _StreamMethod if _METHODS[method].server_streaming else _UnaryMethod
        return kind(calls, self._turns)


class AsyncFailoverStub(FailoverStub):
    """Stands in for the stub of an asynchronous client."""

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - as grpcio's stubs
        if method not in _METHODS:
            raise AttributeError(method)
        calls = [getattr(stub, method) for stub in self._stubs]
        kind = _AsyncStreamMethod if _METHODS[method].server_streaming else _AsyncUnaryMethod
        return kind(calls, self._turns)


class _Method:
    def __init__(self, calls: Sequence[Any], turns: Turns) -> None:
        self._calls = calls
        self._turns = turns


class _UnaryMethod(_Method):
    def __call__(self, request: Message, *, timeout: float, metadata: Metadata) -> object:
        attempt = _Attempt(self._turns, timeout)
        while True:
            call = self._calls[attempt.server]
            try:
                response: object = call(request, timeout=attempt.remaining_s, metadata=metadata)
            except grpc.RpcError as error:
                attempt.next_or_raise(error)
            else:
                attempt.succeed()
                return response

    def future(self, request: Message, *, timeout: float, metadata: Metadata) -> _UnaryFuture:
        """Starts a call, which goes on in the background."""
        return _UnaryFuture(self._calls, _Attempt(self._turns, timeout), request, metadata)


class _AsyncUnaryMethod(_Method):
    async def __call__(self, request: Message, *, timeout: float, metadata: Metadata) -> object:
        attempt = _Attempt(self._turns, timeout)
        while True:
            call = self._calls[attempt.server]
            try:
                response: object = await call(
                    request, timeout=attempt.remaining_s, metadata=metadata
                )
            except grpc.RpcError as error:
                attempt.next_or_raise(error)
            else:
                attempt.succeed()
                return response


class _StreamMethod(_Method):
    def __call__(self, request: Message, *, timeout: float, metadata: Metadata) -> _Stream:
        return _Stream(self._calls, _Attempt(self._turns, timeout), request, metadata)


class _AsyncStreamMethod(_Method):
    def __call__(self, request: Message, *, timeout: float, metadata: Metadata) -> _AsyncStream:
        return _AsyncStream(self._calls, _Attempt(self._turns, timeout), request, metadata)


class _Attempt:
    """One call, which tries every server at most once.

    Attributes:
        server: number of the server to try now.
    """

    def __init__(self, turns: Turns, timeout_s: float) -> None:
        self._turns = turns
        self._end = time.monotonic() + timeout_s
        self.server, *self._others = turns.order()

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def succeed(self) -> None:
        self._turns.report(self.server, None)

    def next_or_raise(self, error: grpc.RpcError, *, is_begun: bool = False) -> None:
        """Goes on to the next server, or raises the error if another one would not help."""
        self._turns.report(self.server, error)
        if is_begun or not is_retryable(error) or not self._others or not self.remaining_s:
            raise error
        self.server, *self._others = self._others


class _UnaryFuture(Future[object]):
    """A unary call under way, which moves to the next server if one does not answer."""

    def __init__(
        self, calls: Sequence[Any], attempt: _Attempt, request: Message, metadata: Metadata
    ) -> None:
        super().__init__()
        self._calls = calls
        self._attempt = attempt
        self._request = request
        self._metadata = metadata
        self._start()

    def cancel(self) -> bool:
        """Ends the call, unless it has ended."""
        is_cancelled = super().cancel()
        self._call.cancel()
        return is_cancelled

    def _start(self) -> None:
        self._call = self._calls[self._attempt.server].future(
            self._request, timeout=self._attempt.remaining_s, metadata=self._metadata
        )
        if self.cancelled():  # before this call was there to be cancelled
            self._call.cancel()
        self._call.add_done_callback(self._end)

    def _end(self, call: Any) -> None:  # noqa: ANN401 - a call of grpcio
        """Runs in a thread of the channel when a call has ended."""
        if self.cancelled():
            return
        with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
            try:
                self._go_on(call)
            except Exception as error:  # noqa: BLE001 - e.g. a channel that was closed
                self.set_exception(error)

    def _go_on(self, call: Any) -> None:  # noqa: ANN401 - a call of grpcio
        error = call.exception()
        if error is None:
            self._attempt.succeed()
            self.set_result(call.result())
        else:
            self._attempt.next_or_raise(error)
            self._start()


class _StreamBase:
    """A stream that moves to the next server as long as nothing has arrived."""

    def __init__(
        self, calls: Sequence[Any], attempt: _Attempt, request: Message, metadata: Metadata
    ) -> None:
        self._calls = calls
        self._attempt = attempt
        self._request = request
        self._metadata = metadata
        self._call = self._start()

    def cancel(self) -> bool:
        """Ends the call, unless it has ended."""
        return bool(self._call.cancel())

    def _start(self) -> Any:  # noqa: ANN401 - a call of grpcio
        call = self._calls[self._attempt.server]
        return call(self._request, timeout=self._attempt.remaining_s, metadata=self._metadata)


class _Stream(_StreamBase):
    def __iter__(self) -> Iterator[object]:
        is_begun = False
        while True:
            try:
                for response in self._call:
                    is_begun = True
                    yield response
            except grpc.RpcError as error:
                self._attempt.next_or_raise(error, is_begun=is_begun)
                self._call = self._start()
            else:
                self._attempt.succeed()
                return


class _AsyncStream(_StreamBase):
    async def __aiter__(self) -> AsyncIterator[object]:
        is_begun = False
        while True:
            try:
                async for response in self._call:
                    is_begun = True
                    yield response
            except grpc.RpcError as error:
                self._attempt.next_or_raise(error, is_begun=is_begun)
                self._call = self._start()
            else:
                self._attempt.succeed()
                return
