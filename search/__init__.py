"""Find a part-aware network for person retrieval and retrain it (torch; run from a checkout, not in the wheel)."""
