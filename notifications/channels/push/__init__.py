"""Web push: offers as notifications of a browser."""
