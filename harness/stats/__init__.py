"""What finished runs say: comparisons, intervals and tests, power, claims."""
