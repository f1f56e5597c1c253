"""What all parts share: noise, images, schemas, files, locks, sessions, errors, commands."""
