"""The settings of a client, checked."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc

from dcgan.core.bounded import read_bounded
from dcgan.serving.client.errors import RefusedError
from dcgan.serving.client.hedging import check_hedge_delay
from dcgan.serving.client.targets import is_local

DEFAULT_TIMEOUT_S = 60.0

_MAX_CERTIFICATES_BYTES = 2**24

Certificates: TypeAlias = str | os.PathLike[str] | bytes
"""Path of a PEM file, or its content."""

# Source: "Custom-Metadata" in https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]+")
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """The settings of a client; see `ClientBase`.

    Attributes:
        target: address of the server, or of several with commas between them.
        timeout_s: time of each call, in seconds.
        hedge_after_s: time after which a second request is sent, in seconds; None for never.
        tls: whether the connection is encrypted.
        ca: certificates to trust, as PEM; None for those of the system.
        metadata: sent with each call, including the token.
    """

    target: str
    timeout_s: float
    hedge_after_s: float | None
    tls: bool
    ca: bytes | None
    metadata: tuple[tuple[str, str | bytes], ...] = field(repr=False)


def check_settings(
    *,
    target: str,
    timeout_s: float,
    hedge_after_s: float | None,
    tls: bool,
    ca: Certificates | None,
    token: str | None,
    metadata: Mapping[str, str | bytes] | None,
) -> ClientSettings:
    """Builds the settings of a client.

    Raises:
        RefusedError: if one of them cannot be used.
    """
    encrypted = tls or ca is not None

    pairs = [_check_pair(key, value) for key, value in (metadata or {}).items()]
    if token is not None:
        pairs.append(("authorization", f"Bearer {_check_token(token)}"))
        if not encrypted and not is_local(target):
            raise _refused("a token is sent only over TLS; add tls=True (--tls)")
    if sum(key == "authorization" for key, _ in pairs) > 1:
        raise _refused("metadata has 'authorization', and so has the token; give one of them")

    return ClientSettings(
        target=target,
        timeout_s=timeout_s,
        hedge_after_s=check_hedge_delay(hedge_after_s),
        tls=encrypted,
        ca=None if ca is None else _read_certificates(ca),
        metadata=tuple(pairs),
    )


def _check_pair(key: str, value: str | bytes) -> tuple[str, str | bytes]:
    if not _KEY.fullmatch(key) or key.startswith("grpc-"):
        problem = f"{key!r:.80} is not a key for metadata"
        raise _refused(f"{problem}; use small letters, digits, '-', '_' and '.', and not 'grpc-'")
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise _refused(f"the value of {key!r:.80} must be bytes, as its key ends with -bin")
    elif not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise _refused(f"the value of {key!r:.80} must be printable ASCII text")
    return key, value


def _check_token(token: str) -> str:
    # The token itself is not part of the message: it is a secret.
    if not _TOKEN.fullmatch(token):
        raise _refused("the token must be printable ASCII text without spaces")
    return token


def _read_certificates(ca: Certificates) -> bytes:
    cure = "name a PEM file as ca= (--ca)"
    if isinstance(ca, bytes):
        name = "ca"
        pem = ca
    else:
        name = repr(os.fspath(ca))
        try:
            pem = read_bounded(Path(ca), _MAX_CERTIFICATES_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise _refused(f"cannot read {name:.100}: {reason}; {cure}") from None

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise _refused(f"{name:.100} holds no certificates; {cure}") from None
    return pem


def _refused(problem: str) -> RefusedError:
    return RefusedError(problem, grpc.StatusCode.INVALID_ARGUMENT)
