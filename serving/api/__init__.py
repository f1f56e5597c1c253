"""The API: requests, image generation independent of the protocol, and the gRPC service."""
