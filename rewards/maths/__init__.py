"""Whether an answer says the same as the reference: options, the quick rules, and the verifier for all else."""
