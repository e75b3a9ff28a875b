"""What tests of several tiers share: the command in this process, finished runs made by hand, generators."""
