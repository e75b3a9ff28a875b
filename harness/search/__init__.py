"""Prompt evolution through gepa: the search, its beam, who writes templates, what has been answered already."""
