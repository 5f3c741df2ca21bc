"""Blob engines."""
