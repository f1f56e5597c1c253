"""An HTTP listener in this process, with limits of the test's choice."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.http.app import HttpApp
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def listening(
    handler,
    in_flight: InFlight | None = None,
    registry: CollectorRegistry | None = None,
    host: str = "127.0.0.1",
    **limits,
) -> AsyncIterator[tuple[HttpListener, InFlight]]:
    config = HttpConfig(port=0, access_log=False, **limits)
    metrics = HttpMetrics(registry or CollectorRegistry())
    in_flight = in_flight or InFlight()
    app = HttpApp(handler, config, metrics, in_flight, count_refusal=lambda _: None)
    listener = HttpListener(app, config, metrics, host, reuse_port=False)
    await listener.start()

    try:
        yield listener, in_flight
    finally:
        await listener.stop(5)
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


def answered(registry: CollectorRegistry) -> dict[str, float]:
    """The number of answers by status."""
    return {
        sample.labels["status"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "dcgan_http_requests_total"
    }


async def say_ok(_) -> Response:
    return Response(200, b"ok")


def say_ok_after(event: asyncio.Event) -> Callable[[object], Awaitable[Response]]:
    """A handler that answers once the event is set."""

    async def answer(_) -> Response:
        await event.wait()
        return Response(200, b"ok")

    return answer


async def never_answer(_) -> Response:
    await asyncio.Event().wait()
    raise AssertionError
