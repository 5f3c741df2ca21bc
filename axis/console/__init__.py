"""Pages, health and metrics for operators."""
