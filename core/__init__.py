"""What every part stands on: noise, images, schema, paths, locks, atomic writes, hardware, errors, command lines."""
