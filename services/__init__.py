"""The services: one file each; a package once it passes 300 lines. Found, not listed."""
