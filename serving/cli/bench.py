"""`dcgan-bench`: load on servers, and a report of throughput, latency and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.parameter_types import FILE, TEXT
from dcgan.serving.cli.connection import connection_options, to_metadata
from dcgan.serving.cli.param_types import SECONDS, UINT64, RequestSizes


@click.command("dcgan-bench", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--target",
    "targets",
    type=TEXT,
    multiple=True,
    default=["127.0.0.1:8001"],
    help="Address of a server; repeat the option for several.",
)
@connection_options
@click.option(
    "-n",
    "sizes",
    type=RequestSizes(),
    default="1",
    help="Images of a request, e.g. 1; or 1:0.9,64:0.1.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=32,
    help="Callers, each with one request.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Requests a second, by a Poisson process, instead of callers.",
)
@click.option(
    "--duration-s",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    help="Time that is measured.",
)
@click.option("--warmup-s", type=SECONDS, default=1.0, help="Time before that.")
@click.option(
    "--timeout-s",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    help="Deadline of a request.",
)
@click.option(
    "--connections", type=click.IntRange(1, 1000), default=1, help="Connections to each target."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    help="Client processes, which share the callers or the rate; each has its connections.",
)
@click.option(
    "--model", type=TEXT, default="", show_default="the server's", help="Name of a model."
)
@click.option(
    "--verify",
    is_flag=True,
    help="Compare every reply of all processes with images fetched before the measurement.",
)
@click.option(
    "--seed", type=UINT64, default=0, help="Seed of the requests, and of their times at a --rate."
)
@click.option(
    "--json",
    "out",
    type=FILE,
    help="Also write a report as JSON; a file that exists is replaced.",
)
def main(
    *,
    out: Path | None,
    tls: bool,
    ca: Path | None,
    token: str | None,
    metadata: tuple[tuple[str, str], ...],
    targets: tuple[str, ...],
    timeout_s: float,
    processes: int,
    **options: Any,  # noqa: ANN401 - click's values
) -> None:
    """Puts load on servers and reports throughput, latency and errors.

    Exit code 1 if --verify finds a wrong reply.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are one sentence of ours
    from dcgan.core import event_loop
    from dcgan.core.output import check_writable, write_output
    from dcgan.core.schema import dump_json
    from dcgan.serving.client.settings import check_settings
    from dcgan.serving.load_test import LoadTestConfig, run_in_processes, run_load_test

    if out is not None:
        check_writable(out, "--json")
    settings = check_settings(
        target=",".join(targets),
        timeout_s=timeout_s,
        hedge_after_s=None,
        tls=tls,
        ca=ca,
        token=token,
        metadata=to_metadata(metadata),
    )
    config = LoadTestConfig(
        targets=targets,
        timeout_s=timeout_s,
        tls=settings.tls,
        ca=settings.ca,
        metadata=settings.metadata,
        **options,
    )

    if processes == 1:
        report = event_loop.run(run_load_test(config))
    else:
        report = run_in_processes(config, processes)
    click.echo(report.table())
    if out is not None:
        write_output(out, "--json", dump_json(report).encode())
    if report.mismatches:
        raise click.exceptions.Exit(1)
