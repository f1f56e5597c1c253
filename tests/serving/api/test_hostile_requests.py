"""Hostile requests: each gets the right code and is counted, and the next one is served."""

import math
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

SERVICE = "/dcgan.v1.GeneratorService/"
CLASSES = {"": 0, "tiny": 0, "classy": 3}
OUTCOMES = ("offered", "accepted", "rejected", "ok", "failed", "cancelled", "expired")
TOO_MANY = 65521  # images of 8 x 8 in one message of 4 MiB, even in grey

hostile = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
edges = st.sampled_from([0, 1, 2, 3, 7, 2**31, 2**32 - 1])
wide_edges = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 2**63, 2**64 - 8, 2**64 - 2, 2**64 - 1])
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.target) as connected:
        yield connected


@pytest.fixture(scope="module")
def stub(channel):
    return GeneratorServiceStub(channel)


@pytest.fixture(autouse=True)
def _goes_on(stub, server, read_metrics):
    """After every test nothing waits, the accounts agree, and one image comes as ever."""
    before = stub.Generate(pb.GenerateRequest(seed=7)).pixels
    yield
    assert stub.Generate(pb.GenerateRequest(seed=7)).pixels == before
    ends = time.monotonic() + 60
    while waiting := [
        name for name in ("tiny", "classy") if not all_settled(name, read_metrics(server))
    ]:
        assert time.monotonic() < ends, waiting


def all_settled(model: str, values: dict[str, float]) -> bool:
    """Whether no work waits, by a page of metrics whose series are not of one moment."""
    work = {
        each: values[f'dcgan_work_total{{model="{model}",outcome="{each}"}}'] for each in OUTCOMES
    }
    assert work["offered"] == work["accepted"] + work["rejected"]
    settled = work["ok"] + work["failed"] + work["cancelled"] + work["expired"]
    waiting = [values[f'dcgan_queue_{what}{{model="{model}"}}'] for what in ("requests", "images")]
    return work["accepted"] == settled and not any(waiting)


@pytest.mark.hostile(
    "Any values in the fields of a request",
    "answered, or refused with the field's name",
)
@hostile
@given(
    seed=wide_edges,
    offset=wide_edges,
    n=st.none() | st.integers(0, 12) | st.sampled_from([TOO_MANY, 2**31, 2**32 - 1]),
    model=st.sampled_from(["", "tiny", "classy"]) | st.text(max_size=30),
    version=st.none() | edges,
    label=st.none() | edges,
    image_format=st.integers(-3, 5),
    truncation=st.none() | st.floats(width=32) | st.sampled_from([0.0, 1.0, 0.5, math.nan]),
)
def test_any_request_is_answered_or_refused_for_what_is_wrong_with_it(stub, image_format, **fields):
    given = {name: value for name, value in fields.items() if value is not None}
    request = pb.GenerateRequest(format=image_format, **given)
    n, psi, classes = given.get("n", 1), given.get("truncation", 1.0), CLASSES.get(given["model"])
    if classes is None or given.get("version", 2) != 2:
        allowed = {"MODEL_NOT_FOUND"}
    elif (
        not 0 < n < TOO_MANY
        or given["offset"] + n > 2**64
        or not 0 < psi <= 1
        or not 0 <= image_format <= 3
        or ("label" in given and given["label"] >= classes)
    ):
        allowed = {"INVALID_FIELD"}
    else:
        allowed = {"OK"}

    assert outcome(lambda: stub.Generate(request, timeout=30)) in allowed


@pytest.mark.hostile("Random bytes as a request", "refused, or an ordinary request")
@hostile
@given(st.binary(max_size=200))
def test_random_bytes_are_no_request_or_an_ordinary_one(channel, data):
    for method in ("Generate", "GetModel", "ListModels"):
        call = channel.unary_unary(SERVICE + method)
        assert outcome(lambda call=call: call(data, timeout=30)) in {
            "OK",
            "INVALID_MESSAGE",
            "INVALID_FIELD",
            "MODEL_NOT_FOUND",
        }


@hostile
@given(st.integers(0, 300), st.integers(1, 2**64 - 1))
def test_a_request_cut_short_is_no_request_or_an_ordinary_one(channel, length, seed):
    data = pb.GenerateStreamRequest(seed=seed, n=2, model="tiny", offset=3).SerializeToString()[
        :length
    ]
    call = channel.unary_stream(SERVICE + "GenerateStream")
    assert outcome(lambda: list(call(data, timeout=30))) in {
        "OK",
        "INVALID_MESSAGE",
        "MODEL_NOT_FOUND",
    }


def test_bytes_that_are_no_message_are_said_to_be_none(channel):
    assert (
        outcome(lambda: channel.unary_unary(SERVICE + "Generate")(b"\xff" * 9)) == "INVALID_MESSAGE"
    )


def test_a_field_from_the_future_is_ignored(channel, stub):
    known = pb.GenerateRequest(seed=7, n=2).SerializeToString()
    reply = channel.unary_unary(SERVICE + "Generate")(known + b"\xfa\x3e\x03abc")  # field 1007
    assert (
        pb.GenerateResponse.FromString(reply).pixels
        == stub.Generate(pb.GenerateRequest(seed=7, n=2)).pixels
    )


def test_a_request_over_the_limit_is_refused_by_grpc(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SERVICE + "Generate")(bytes(2**20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_method_that_is_none_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SERVICE + "Degenerate")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("timeout_s", [1e-9, 0.0, -1.0, 0.001])
def test_a_deadline_that_is_no_time_at_all_is_exceeded(stub, timeout_s):
    with pytest.raises(grpc.RpcError) as caught:
        list(
            stub.GenerateStream(
                pb.GenerateStreamRequest(n=2**32 - 1, model="slow"), timeout=timeout_s
            )
        )
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("timeout_s", [1e6, 1e9, None])
def test_a_deadline_in_another_century_is_as_good_as_none(stub, timeout_s):
    assert stub.Generate(pb.GenerateRequest(seed=1), timeout=timeout_s).n == 1


@pytest.mark.hostile("A storm of cancelled requests", "leaves nothing behind")
def test_a_storm_of_cancelled_requests_leaves_nothing_behind(stub):
    for _ in range(10):
        calls = [stub.Generate.future(pb.GenerateRequest(seed=i, n=50)) for i in range(100)]
        for call in calls:
            call.cancel()


def outcome(call) -> str:
    """OK, or the reason that the server's ErrorInfo gives."""
    try:
        call()
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        assert status is not None, error
        return ErrorInfo.FromString(status.details[0].value).reason
    return "OK"
