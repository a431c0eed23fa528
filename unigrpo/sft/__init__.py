"""Supervised fine-tuning: the masked-diffusion loss, its batches, and the loop."""
