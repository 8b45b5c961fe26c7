"""Channels: how a decided offer reaches its shopper."""
