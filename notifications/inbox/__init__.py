"""The embedded inbox: a mail server for development and tests with its own record of every message."""
