"""Gossip: each rank steps alone, and mixes its weights with those of its neighbours."""
