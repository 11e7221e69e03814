"""What is drawn and trained here."""
