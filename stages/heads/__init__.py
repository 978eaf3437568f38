"""Heads: motion parameters to vertices, differentiably."""
