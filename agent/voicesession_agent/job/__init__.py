"""The job process: one conversation, its reports to the supervisor, and its end."""
