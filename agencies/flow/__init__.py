"""The journey through the node: from the outbox to the axis, and from the feed into the inbox."""
