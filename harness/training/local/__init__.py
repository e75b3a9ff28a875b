"""The local backend: torch and transformers in this process."""
