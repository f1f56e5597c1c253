"""The networks, their layers and losses, and the EMA of the generator."""
