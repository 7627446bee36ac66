"""Pages of the projects chapter."""
