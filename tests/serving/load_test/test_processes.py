"""A load test from several processes compares all of them with the same images."""

import asyncio
import multiprocessing

import pytest

from dcgan.serving.load_test import (
    LoadTestConfig,
    LoadTestError,
    processes,
    run_in_processes,
    runner,
)
from dcgan.serving.load_test.processes import merge, share_of
from dcgan.serving.load_test.report import CallLog, FinishedCall
from dcgan.serving.load_test.runner import Reference
from dcgan.v1 import generator_pb2 as pb


@pytest.mark.slow
def test_two_processes_agree_with_a_real_server(server):
    config = LoadTestConfig(
        targets=(server.target,),
        sizes=((1, 0.5), (5, 0.5)),
        duration_s=0.5,
        warmup_s=0.0,
        concurrency=4,
        verify=True,
    )
    report = run_in_processes(config, 2)

    assert report.codes == {"OK": report.requests}
    assert report.requests > 2
    assert report.mismatches == 0


async def test_a_server_that_lies_to_one_of_the_processes_is_caught(serving):
    peers = []

    async def generate(request, context):
        if context.peer() not in peers:
            peers.append(context.peer())
        pixels = bytes([peers.index(context.peer())] * request.n)  # the reference is of zeros
        return pb.GenerateResponse(
            pixels=pixels, n=request.n, offset=request.offset, height=1, width=1, channels=1
        )

    async with serving(generate) as target:
        config = LoadTestConfig(
            targets=(target,), duration_s=0.3, warmup_s=0.0, concurrency=2, verify=True
        )
        report = await asyncio.to_thread(run_in_processes, config, 2)

    assert len(peers) == 2
    assert 0 < report.mismatches < report.requests + config.concurrency


def test_processes_divide_callers_and_rate_and_draw_other_requests():
    config = LoadTestConfig(concurrency=7, rate=30.0, seed=5)
    shares = [share_of(config, i, 3) for i in range(3)]
    assert [share.concurrency for share in shares] == [3, 2, 2]
    assert [share.rate for share in shares] == [10.0] * 3
    assert len({share.seed for share in shares}) == 3
    assert shares[0].seed == config.seed


def test_the_calls_and_the_wrong_replies_of_all_processes_are_counted():
    logs = [
        CallLog(start=i, end=i + 1.0, calls=[FinishedCall(n, 0.1, "OK")], mismatches=n)
        for i, n in enumerate((1, 4))
    ]
    merged = merge(logs)
    assert [call.n for call in merged.calls] == [1, 4]
    assert merged.mismatches == 5


def test_more_processes_than_callers_are_refused():
    with pytest.raises(LoadTestError, match="fewer --processes"):
        run_in_processes(LoadTestConfig(concurrency=2), 3)


def test_a_process_that_fails_sends_its_error_and_releases_the_others(monkeypatch):
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    receiver, sender = context.Pipe(duplex=False)

    def refuse(address, config):
        raise ValueError("no such address")

    monkeypatch.setattr(runner, "_open_channel", refuse)
    processes._run_child(LoadTestConfig(), Reference((1, 1, 1)), barrier, sender)
    assert str(receiver.recv()) == "no such address"
    assert barrier.broken


def test_a_process_that_has_died_is_an_error_of_one_sentence():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sender.close()
    with pytest.raises(LoadTestError, match="a client process has died"):
        processes._receive(receiver)


def test_the_error_of_a_process_is_not_hidden_by_those_that_waited_for_it():
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(3)]
    log = CallLog(start=0, end=1)
    waited = processes.NotStartedError("not all client processes have started")
    for (_, sender), result in zip(
        pipes, (log, waited, LoadTestError("no such host")), strict=True
    ):
        sender.send(result)
    receivers = [receiver for receiver, _ in pipes]
    with pytest.raises(LoadTestError, match="no such host"):
        processes._receive_all(receivers)

    pipes[0][1].send(log)
    pipes[1][1].send(waited)
    with pytest.raises(LoadTestError, match="not all client processes have started"):
        processes._receive_all(receivers[:2])
