"""Derived data for people: disposable, rebuilt from the journal."""
