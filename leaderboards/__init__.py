"""Published claims as data (claims/*.yaml); read by harness/verdict/claims.py."""
