"""Shop logs: files of views, carts and purchases as tables, with an account of what could not be used."""
