"""The options of `dcgan-serve` that determine the configuration of the server, by topic."""

from __future__ import annotations

import click

from dcgan.core.command_line import with_options
from dcgan.core.event_loop import EVENT_LOOPS
from dcgan.core.onnx_session import DEFAULT_CUDA_BATCH_SIZE
from dcgan.core.parameter_types import PATH, TEXT
from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.cli.param_types import PORT, POSITIVE_SECONDS, SECONDS, GpuNumbers

# Which models are served.
model_options = with_options(
    click.option(
        "--model-repository",
        type=PATH,
        help="Serve the newest version of every model in this folder, laid out as "
        "<name>/<version>/.  [default: the models that come with the package]",
    ),
    click.option(
        "--model",
        help="Default model, for requests that name none; without --model-repository, the only "
        "one that is served.  [default: the only model of the repository, or dcgan64 of the "
        "package]",
    ),
    click.option(
        "--fetch-from",
        help="Index to fetch --model from, if it is not on this machine; not with "
        "--model-repository.  [default: nothing is fetched]",
    ),
    click.option(
        "--fetch-key",
        metavar="KEY|FILE",
        help="Public key of minisign that must have signed the index of --fetch-from. Needs the "
        "extra `signatures`.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "fp16", "int8"]),
        default="fp32",
        help="Which file to run.",
    ),
)

# Where the server listens, and HTTP.
port_options = with_options(
    click.option("--host", default="127.0.0.1", help="Address to listen on."),
    click.option("--port", type=PORT, default=8001, help="Port of gRPC; 0 for any free port."),
    click.option("--http-port", type=PORT, default=8000, help="Port of HTTP; 0 for any free port."),
    click.option("--no-http", is_flag=True, help="Do not serve HTTP and the web page."),
    click.option(
        "--http-cors-origin",
        "http_cors_origins",
        type=TEXT,
        multiple=True,
        help="Origin whose web pages may read the responses, e.g. https://example.org; '*' for "
        "any. Can be given several times.  [default: none]",
    ),
    click.option(
        "--http-access-log/--no-http-access-log", default=True, help="Log each HTTP request."
    ),
    click.option(
        "--metrics-port",
        type=PORT,
        default=8002,
        help="Port of /metrics, /healthz and /readyz; 0 for any free port.",
    ),
    click.option(
        "--metrics-host", help="Address to listen on for --metrics-port.  [default: that of --host]"
    ),
)

# How models run.
engine_options = with_options(
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        help="Device to run on; auto is CUDA where there is a GPU.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=1,
        help="Server processes that share the ports, each with its own queue; their metrics are on "
        "--metrics-port and the ports that follow.",
    ),
    click.option(
        "--instances",
        type=click.IntRange(0, 64),
        default=0,
        help="Engines of each model; 0 for one on each processor, 8 at most, or two per GPU on "
        "CUDA.",
    ),
    click.option(
        "--intra-op-threads",
        type=click.IntRange(0, 1024),
        default=0,
        help="Threads of an engine on the CPU; 0 for an equal share of the processors.",
    ),
    click.option(
        "--spinning/--no-spinning", default=False, help="Let idle threads of an engine spin."
    ),
    click.option(
        "--max-batch-size",
        type=click.IntRange(1, 65536),
        default=16,
        help="Maximum number of images in a batch on the CPU.",
    ),
    click.option(
        "--cuda-batch-size",
        type=click.IntRange(1, 4096),
        default=DEFAULT_CUDA_BATCH_SIZE,
        help="Images in every batch on CUDA, padding included. Servers with different "
        "values return different bytes for the same image.",
    ),
    click.option(
        "--cuda-graphs/--no-cuda-graphs",
        default=True,
        help="Replay batches as a CUDA graph, where it can be captured.",
    ),
    click.option(
        "--devices",
        type=GpuNumbers(),
        default="0",
        help="Numbers of the GPUs that the engines are spread over, e.g. 0,1.",
    ),
)

# Sizes of queues, batches and messages.
limit_options = with_options(
    click.option(
        "--max-queue-images",
        type=click.IntRange(1),
        show_default="4096; on CUDA at least what the engines make in a second",
        help="Maximum number of images of one client that wait for an engine, and that wait to be "
        "encoded as PNG; all clients together have half as much again.",
    ),
    click.option(
        "--quantum-images",
        type=click.IntRange(1),
        default=16,
        help="Images that a request gets in one turn.",
    ),
    click.option(
        "--max-reply-bytes",
        type=click.IntRange(1),
        default=4 * 2**20,
        help="Maximum size of a reply, which also bounds the images of a request; gRPC clients "
        "accept no more than the default, unless they are configured to.",
    ),
    click.option(
        "--max-request-bytes",
        type=click.IntRange(1),
        default=64 * 2**10,
        help="Maximum size of a request.",
    ),
    click.option(
        "--max-unread-bytes",
        type=click.IntRange(1),
        default=CallLimits.max_unread_bytes,
        help="Maximum memory of replies that clients have not read. A client above its share is "
        "refused: one connection gets two thirds at most, one address four fifths.",
    ),
    click.option(
        "--cache-bytes",
        type=click.IntRange(0),
        default=0,
        help="Size of the cache of PNG and other files, which gRPC and HTTP share; 0 for none.",
    ),
)

# gRPC connections.
grpc_options = with_options(
    click.option(
        "--max-concurrent-rpcs",
        type=click.IntRange(0),
        default=CallLimits.max_calls,
        help="Maximum number of RPCs and HTTP requests at once, shared like --max-unread-bytes; "
        "0 for no limit.",
    ),
    click.option(
        "--max-streams",
        type=click.IntRange(1),
        default=CallLimits.max_streams,
        help="Maximum number of streaming RPCs at once, shared like --max-unread-bytes.",
    ),
    click.option(
        "--max-connection-streams",
        type=click.IntRange(1, 2**31 - 1),
        default=4096,
        help="Maximum number of RPCs at once on a connection; gRPC refuses more with "
        "REFUSED_STREAM.",
    ),
    click.option(
        "--arrival-timeout-s",
        type=POSITIVE_SECONDS,
        default=CallLimits.arrival_timeout_s,
        help="Time in which a request must arrive after its headers.",
    ),
    click.option(
        "--read-timeout-s",
        type=POSITIVE_SECONDS,
        default=CallLimits.read_timeout_s,
        help="Time in which a client must read a reply, or the next chunk of a stream, plus a "
        "second for each 64 KiB. After that a stream is ended, and then the connection closed.",
    ),
    click.option(
        "--max-call-s",
        type=POSITIVE_SECONDS,
        default=CallLimits.max_call_s,
        help="Time after which an RPC is ended, whatever its deadline.",
    ),
    click.option(
        "--max-connection-age-s",
        type=SECONDS,
        default=0.0,
        help="Maximum age of a connection; 0 for no limit.",
    ),
    click.option(
        "--keepalive-s",
        type=SECONDS,
        default=7200.0,
        help="Time without traffic after which the server pings a client.",
    ),
    click.option(
        "--min-ping-interval-s",
        type=SECONDS,
        default=10.0,
        help="Shortest interval between keepalive pings of a client; clients that ping more often "
        "are disconnected.",
    ),
)

# Start, drain and stalled engines.
lifetime_options = with_options(
    click.option(
        "--start-timeout-s",
        type=click.FloatRange(0, 86400, min_open=True),
        default=300.0,
        help="Time that each model has to get ready; after that the server ends with exit code 2.",
    ),
    click.option(
        "--event-loop",
        type=click.Choice(EVENT_LOOPS),
        default="auto",
        help="Event loop of gRPC and HTTP; auto is uvloop where it is installed.",
    ),
    click.option(
        "--drain-delay-s",
        type=SECONDS,
        default=0.0,
        help="Time at shutdown between turning readiness off and refusing requests.",
    ),
    click.option(
        "--exit-timeout-s",
        type=SECONDS,
        default=30.0,
        help="Time at shutdown that accepted requests have to finish.",
    ),
    click.option(
        "--longest-batch-s",
        type=click.FloatRange(0, 86400, min_open=True),
        default=60.0,
        help="Time on one batch after which an engine counts as stuck.",
    ),
)
