"""Rewards that look at images. They need torch, and are imported only when a config names them.

They run with the torch threads of the process that scores, and `device: auto` takes the GPU that this process sees; a
Ray worker to which no GPU was given sees none.
"""
