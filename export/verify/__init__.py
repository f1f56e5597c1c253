"""Verification of files just written or released: structure, weights and the parity gate."""
