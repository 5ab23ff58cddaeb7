"""Requests and answers as values: what each endpoint says, without a socket in sight."""
