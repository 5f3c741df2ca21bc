"""What `axis` does: its commands."""
