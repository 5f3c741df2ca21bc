"""What every HTTP API of the node shares: who may ask, what is asked, uploads, errors, JSON."""
