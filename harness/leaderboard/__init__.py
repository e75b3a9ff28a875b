"""Leaderboards that anyone can recompute: filed runs, their tables and page."""
