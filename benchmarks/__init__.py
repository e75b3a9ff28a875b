"""Suites as data: one folder each, with a card; read by harness/data/suites.py."""
