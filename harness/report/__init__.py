"""What people read of a run or a comparison: reports, plots, formats of others."""
