"""What `agency` does: its commands, and the node's API that each of them asks."""
