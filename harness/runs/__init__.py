"""The run directory and the filed run: the only places that read and write what a run leaves."""
