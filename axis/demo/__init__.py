"""A complete local axis with traffic: also what the benchmark and the end-to-end tests start."""
