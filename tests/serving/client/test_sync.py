"""The client for threads, against real servers."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dcgan.serving.client import Client, DeadlineError, RefusedError, UnreachableError


@pytest.mark.slow
def test_a_server_that_is_not_there_is_said_with_the_cure(nobody):
    with (
        Client(nobody) as client,
        pytest.raises(UnreachableError, match=f"{nobody}; start one with dcgan-serve"),
    ):
        client.generate(7)


def test_the_time_a_call_may_take_is_limited(server):
    with Client(server.target, timeout_s=0.5) as client, pytest.raises(DeadlineError):
        list(client.stream(7, 2**32 - 1, model="slow"))


def test_a_refusal_carries_the_code_and_the_reason(client):
    with pytest.raises(RefusedError, match="label must be unset") as caught:
        client.generate(7, label=1)
    assert (caught.value.code.name, caught.value.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    with pytest.raises(RefusedError, match="there is no model 'nobody'"):
        client.generate(7, model="nobody")


@pytest.mark.parametrize(
    "arguments",
    [{"seed": -1}, {"seed": 2**64}, {"seed": 1, "n": -1}, {"seed": "one"}, {"seed": 1, "n": "3"}],
)
def test_what_does_not_fit_its_field_is_refused_before_it_is_sent(client, arguments):
    with pytest.raises(RefusedError):
        client.generate(**arguments)


def test_no_images_are_refused(client):
    with pytest.raises(RefusedError, match="n must be"):
        client.generate(7, 0)


@pytest.mark.slow
def test_several_servers_take_turns(mortal_pair, read_metrics):
    with Client(f"{mortal_pair[0].target},{mortal_pair[1].target}") as client:
        while not all(made(read_metrics, server) for server in mortal_pair):
            client.generate(1)


@pytest.mark.slow
def test_a_server_that_is_killed_costs_no_errors_and_no_bytes(mortal_pair, expected):
    ask_both_while(mortal_pair, expected, mortal_pair[1].process.kill)


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_costs_no_errors_and_no_bytes(mortal_pair, expected):
    ask_both_while(mortal_pair, expected, mortal_pair[1].process.terminate)
    assert mortal_pair[1].process.wait(timeout=30) == 0


@pytest.mark.slow
def test_a_stream_that_breaks_goes_on_at_the_other_server(mortal_pair, expected):
    with Client(f"{mortal_pair[0].target},{mortal_pair[1].target}") as client:
        streams = [client.stream(7, 5000) for _ in range(2)]  # one at each server
        heads = [next(stream) for stream in streams]
        mortal_pair[1].process.kill()
        for head, stream in zip(heads, streams, strict=True):
            np.testing.assert_array_equal(
                np.concatenate([head, *stream]), expected("tiny", 7, range(5000))
            )


def test_a_timeout_of_nothing_is_no_time(server):
    with Client(server.target) as client, pytest.raises(DeadlineError):
        client.generate(7, timeout_s=0)


def test_a_timeout_of_ages_is_taken(server):
    with Client(server.target, timeout_s=1e30) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_a_proxy_does_not_lead_to_this_machine(server, monkeypatch, nobody):
    monkeypatch.setenv("http_proxy", f"http://{nobody}")
    with Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def ask_both_while(mortal_pair, expected, something_happens) -> None:
    """Asks for many single images at both servers; each must come and be right."""
    wanted = expected("tiny", 7, range(300))
    with (
        Client(f"{mortal_pair[0].target},{mortal_pair[1].target}") as client,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = [pool.submit(client.generate, 7, offset=i) for i in range(300)]
        answers[50].result()
        something_happens()

        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result()[0], wanted[i])


def made(read_metrics, server) -> float:
    return sum(
        value
        for name, value in read_metrics(server).items()
        if name.startswith("dcgan_images_total")
    )


def test_a_client_that_was_closed_says_so(server):
    client = Client(server.target, hedge_after_s=1)
    stream = client.stream(7, 10**7, timeout_s=1e6)
    next(stream)
    client.close()
    asks = (
        lambda: next(
            chunk for chunk in stream if not len(chunk)
        ),  # of what has come before, all may be read
        lambda: client.generate(7),
        lambda: client.generate(7, 100),
        lambda: client.interpolate(1, 2, 3),
        client.models,
        client.model,
    )

    for each in asks:
        with pytest.raises(UnreachableError, match="was closed; make another"):
            each()


@pytest.mark.parametrize("seconds", [-1, float("nan"), -float("inf")])
def test_a_second_request_after_no_time_at_all_is_refused(server, seconds):
    with pytest.raises(RefusedError, match="hedge_after_s must be 0 or more"):
        Client(server.target, hedge_after_s=seconds)


def test_a_second_request_after_ages_is_taken(server):
    with Client(server.target, hedge_after_s=float("inf")) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_who_waits_when_a_client_is_closed_is_told_so(server):
    client = Client(server.target)
    stream = client.stream(7, 10**6, timeout_s=1e6, model="slow")
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, stream)
        client.close()
        with pytest.raises(UnreachableError, match="was closed; make another"):
            waiting.result()


def test_a_walk_joins_any_two_images(client):
    walk = np.concatenate(list(client.interpolate(1, 2, 100, offset_a=5, offset_b=2**40)))
    assert len(walk) == 100
    np.testing.assert_array_equal(walk[:1], client.generate(1, offset=5))
    np.testing.assert_array_equal(walk[-1:], client.generate(2, offset=2**40))


def test_a_client_that_is_pickled_or_copied_is_a_new_one_with_the_same_settings(server):
    with Client(
        server.target, timeout_s=30, hedge_after_s=5, metadata={"tenant": "blue"}
    ) as client:
        image = client.generate(7)
        copies = [pickle.loads(pickle.dumps(client)), copy.deepcopy(client)]
    for other in copies:
        assert other._settings == client._settings
        with other:
            np.testing.assert_array_equal(other.generate(7), image)


def test_a_pool_of_processes_shares_the_settings_of_a_client(server):
    context = multiprocessing.get_context("spawn")
    with Client(server.target) as client, context.Pool(1) as pool:
        images = pool.apply_async(client.generate, (7,)).get(timeout=120)
        np.testing.assert_array_equal(images, client.generate(7))
        with pytest.raises(RefusedError, match="label must be unset") as caught:
            pool.apply_async(client.generate, (7,), {"label": 1}).get(timeout=120)
    assert caught.value.field == "label"
