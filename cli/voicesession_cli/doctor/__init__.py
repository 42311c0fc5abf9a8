"""`kubectl voice doctor`: check an installation and suggest fixes."""
