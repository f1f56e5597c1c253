"""Files that are published with a model, one module each."""
