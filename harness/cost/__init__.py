"""What a run costs before it runs: time, tokens, reflections, disk, by assumptions for which a user may have better numbers."""
