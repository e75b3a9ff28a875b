"""Suites and training sets as data: where problems come from, and which of them overlap."""
