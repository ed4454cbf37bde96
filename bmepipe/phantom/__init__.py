"""Synthetic studies whose answer is known in millilitres."""
