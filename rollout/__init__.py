"""Sampling from the policy: prompts in, rollouts out, as tokens."""
