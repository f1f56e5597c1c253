"""The gRPC API: requests, replies, status codes, health."""
