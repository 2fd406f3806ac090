"""What profiles say: cost by function, what changed between two, and what is never freed."""
