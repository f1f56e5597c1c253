"""What is published beside the files: manifest, golden images, samples, model card."""
