"""The strategies: how ranks share the work of training one model."""
