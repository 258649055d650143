"""The commands of `python -m search`, one file each."""
