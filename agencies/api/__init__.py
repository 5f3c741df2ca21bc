"""The local HTTP API: the contract's routes."""
