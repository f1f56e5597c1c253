"""Reference of the errors of the service, from the tables that map them to gRPC and HTTP."""

from __future__ import annotations

from dcgan.serving.api.status import _TABLE as GRPC
from dcgan.serving.errors import RetryableError
from dcgan.serving.http.problem import TABLE as HTTP
from docs.generate.markdown import cell, code, table


def errors_table() -> str:
    """Returns every reason with its gRPC code, its HTTP status and whether a retry may help."""
    rows = []
    for error in dict.fromkeys([*HTTP, *GRPC]):
        status, title = HTTP.get(error, ("", ""))
        grpc_code = GRPC[error][0].name if error in GRPC else ""
        retry = "after the stated time" if issubclass(error, RetryableError) else ""
        rows.append([code(error.reason), code(grpc_code), str(status), cell(title), retry])
    return table(["reason", "gRPC", "HTTP", "meaning", "retry"], rows)
