"""A referee for reinforcement learning with verifiable rewards: methods on equal terms, judged in and out of distribution."""
