"""Two graders in bounded processes, and their self-test."""
