import inspect
import json

import pytest

from dcgan.serving.api.errors import EngineFaultError, InvalidFieldError
from dcgan.serving.api.status import status_of
from dcgan.serving.errors import RequestError, RetryableError
from dcgan.serving.http.errors import MethodNotAllowedError
from dcgan.serving.http.problem import MEDIA_TYPE, TABLE, problem_response
from dcgan.serving.scheduling.errors import QueueFullError


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_error_has_a_status():
    errors = subclasses(RequestError) - {RequestError, RetryableError}
    assert errors == set(TABLE)


def test_every_error_has_a_reason_of_its_own():
    assert len({error.reason for error in TABLE}) == len(TABLE)


def test_a_problem_document_says_what_is_wrong():
    response = problem_response(InvalidFieldError("n", "must be 1"), "id-1")
    assert response.status == 400
    assert response.headers["content-type"] == MEDIA_TYPE == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert json.loads(response.body) == {
        "type": "urn:dcgan:problem:invalid-field",
        "title": "A field of the query is invalid",
        "status": 400,
        "detail": "n must be 1",
        "reason": "INVALID_FIELD",
        "request_id": "id-1",
        "field": "n",
    }


@pytest.mark.parametrize(("seconds", "field"), [(0.01, "1"), (1.0, "1"), (1.2, "2"), (60, "60")])
def test_a_full_queue_says_when_to_retry(seconds, field):
    response = problem_response(QueueFullError(4096, seconds), "id-1")
    assert (response.status, response.headers["retry-after"]) == (429, field)
    assert json.loads(response.body)["retry_after_s"] == seconds


def test_a_wrong_method_says_which_are_right():
    response = problem_response(MethodNotAllowedError("PUT", ("GET", "HEAD")), "id-1")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")


def test_the_detail_is_the_message_of_grpc():
    error = EngineFaultError("id-1")
    assert json.loads(problem_response(error, "id-1").body)["detail"] == status_of(error).message


def test_codes_of_grpc_and_http_agree():
    codes = {
        "INVALID_ARGUMENT": {400},
        "NOT_FOUND": {404},
        "RESOURCE_EXHAUSTED": {429},
        "UNAVAILABLE": {503},
        "DEADLINE_EXCEEDED": {504},
        "INTERNAL": {500},
    }

    for kind, (status, _) in TABLE.items():
        if kind.__module__ == "dcgan.serving.http.errors":
            continue
        values = {"retry_after_s": 1.0, "available": ["a"], "version": None}
        names = list(inspect.signature(kind).parameters)
        error = kind(**{name: values.get(name, 1 if name[-2:] == "_s" else "x") for name in names})
        assert status in codes[status_of(error).code.name]
