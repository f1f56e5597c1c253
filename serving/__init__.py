"""From a model folder to a service, and the client of that service."""
