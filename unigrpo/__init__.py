"""UniGRPO (arXiv:2505.15809): reinforcement learning for masked-diffusion multimodal language models."""

__version__ = "0.1.0"
