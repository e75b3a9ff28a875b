"""Prompt evolution through gepa: the search, its beam, who writes templates, what was paid for."""
