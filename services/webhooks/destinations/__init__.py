"""Where webhooks deliver to: one way for each kind of destination, each with one method `send`."""
