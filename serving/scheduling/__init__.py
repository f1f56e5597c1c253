"""Scheduling: admission control, batching and the engine threads of one model."""
