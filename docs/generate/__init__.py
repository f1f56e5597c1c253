"""Generators of the parts of the documentation that follow from code, results and the contract."""
