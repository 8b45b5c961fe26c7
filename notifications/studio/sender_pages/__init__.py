"""Sender pages: who the shop's mails come from, and whether public DNS lets receivers trust them."""
