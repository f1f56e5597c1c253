"""The contract of the service: generator.proto and the stubs generated from it (`make protos`)."""
