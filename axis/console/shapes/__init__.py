"""The JSON shapes of `/api/v1`: `axis.console.openapi` describes it by them, and bodies are read by them.

Answers are made by the views, the same that the command line prints; that they have these shapes, and nothing
beside them, is held by tests/unit/test_console_openapi.py. Sizes in bytes, times in RFC 3339, codes primary.
"""
