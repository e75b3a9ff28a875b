"""Published claims as data (claims/*.yaml); read by harness/claims.py."""
