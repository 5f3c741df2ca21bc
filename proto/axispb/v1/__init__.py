"""Generated protobuf modules, version 1."""
