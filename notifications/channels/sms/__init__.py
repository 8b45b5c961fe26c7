"""SMS: offers as text messages, sent by a provider."""
