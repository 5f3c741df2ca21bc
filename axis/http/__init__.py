"""The agency-facing API over mutual TLS."""
