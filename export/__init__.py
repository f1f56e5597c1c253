"""From weights to a model folder that is proven to be the same function."""
