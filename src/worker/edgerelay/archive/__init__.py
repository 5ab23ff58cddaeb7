"""What is kept, and in which form: formats and plans, without storage."""
