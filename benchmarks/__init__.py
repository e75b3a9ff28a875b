"""Suites as data: one folder each (lm-eval task, card); read by harness/data/suites.py."""
