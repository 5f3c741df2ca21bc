"""Copies of a home as one file: written, read back, verified.

An archive is a tar of plain files only (readable with `tar`), the last of them `manifest.jsonl`: one line
about the whole, then one for each member in order, with its size and SHA-256. Axis and agencies share it.
"""
