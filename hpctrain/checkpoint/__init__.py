"""What is kept of a run on disk: `store` writes it and reads it back, `manifest` says what must be there."""
