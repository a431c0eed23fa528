"""Verifiers that run on model output, in child processes that can be killed."""
