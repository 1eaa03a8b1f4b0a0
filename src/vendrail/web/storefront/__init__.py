"""What buyers see: choose, pay, read the key; find the order again."""
