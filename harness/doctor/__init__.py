"""Whether a machine has what a run takes, before anything is paid for."""
