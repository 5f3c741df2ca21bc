"""Journal engines."""
