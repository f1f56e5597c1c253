"""The networks, their losses and the EMA of the generator."""
