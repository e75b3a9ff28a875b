"""A policy on suites: who answers, lm-eval's task machinery, result.json, scores from stored samples."""
