"""What a method sees, and what all others rest on: no module here imports from another package of the harness."""
