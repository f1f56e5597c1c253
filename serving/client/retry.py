"""The retry policy of the clients: how often, when, and after which statuses a call is repeated.

Images are pure functions of the request, so repeating a request is always safe. Source: gRFC A6,
https://github.com/grpc/proposal/blob/master/A6-client-retries.md
"""

from __future__ import annotations

import grpc

from dcgan.v1 import generator_pb2 as pb

MAX_ATTEMPTS = 5

# grpc.aio ends a call that meets the start of a shutdown with CANCELLED (grpc/grpc#37239).
_RETRYABLE = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED")

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": pb.DESCRIPTOR.services_by_name["GeneratorService"].full_name}],
            "retryPolicy": {
                "maxAttempts": MAX_ATTEMPTS,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": _RETRYABLE,
            },
        }
    ],
    # A failure costs one token, a success earns 0.2, and with fewer than 100 nothing is retried.
    # So a server may die with a hundred calls of a client under way; and when all servers are
    # busy, retries add at most a fifth to their load.
    "retryThrottling": {"maxTokens": 200, "tokenRatio": 0.2},
}
"""gRPC service config with load balancing and retries."""


def is_retryable(error: BaseException | None) -> bool:
    """Returns whether a failed call may succeed at another server, or at the same one later."""
    return isinstance(error, grpc.RpcError) and error.code().name in _RETRYABLE
