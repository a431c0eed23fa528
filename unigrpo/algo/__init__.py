"""UniGRPO as functions on tensors: noise -> likelihood -> advantage -> objective. Nothing here knows the modality."""
