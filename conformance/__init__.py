"""Conformance: see README.md."""
