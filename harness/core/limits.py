"""How much is read of what others made: archives are bounded by what a small machine holds, not by what they claim."""

MAX_BYTES = 1 << 30
"""Of one file, packed or unpacked: more is refused."""
MAX_ROWS = 2_000_000
"""Of one file of filed samples. In memory they take at most a few times as much as their text."""
FREE_BYTES, MAX_RATIO = 128 << 20, 1000
"""What unpacks to more than so many bytes must be no more than so many times as large as its archive: real samples are 20
to 100 times as large, and 100 kB of zeros could be made to fill any memory."""
