"""What is published beside the model's files, one module for each file."""
