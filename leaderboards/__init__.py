"""Published claims as data (claims/*.yaml); read by harness/stats/claims.py."""
