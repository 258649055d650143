"""Command lines: one file a command; errors become one line here, once."""
