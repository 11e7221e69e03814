"""Pictures: drawn from plain data, in one style."""
