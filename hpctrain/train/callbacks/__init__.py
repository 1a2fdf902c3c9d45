"""Who watches a run: each callback sees the same records and shows or keeps them its own way."""
