"""What an approved offer promises: its discount, its code, and what it takes of its journey's budget."""
