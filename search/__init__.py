"""Find a part-aware network for person retrieval and retrain it. Run from a checkout; not in the wheel."""
