"""Blocks: the body of a mail as a list of typed parts, which a marketer edits in forms and which becomes MJML."""
