"""The parity gate: backends, tolerances, comparison, report, and verification of released models."""
