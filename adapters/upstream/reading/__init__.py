"""What an answer lists, read without decoding it whole, and compared."""
