"""Batching: the queue of a model, its engines' threads, and admission."""
