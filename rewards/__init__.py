"""Reward functions: what a rollout earns. Needs no torch."""

from rewards.extract import answer_part
from rewards.function import RewardFunction
from rewards.registry import check, resolve, reward
from rewards.score import Score
from rewards.scorer import Scorer

__all__ = ["RewardFunction", "Score", "Scorer", "answer_part", "check", "resolve", "reward"]
