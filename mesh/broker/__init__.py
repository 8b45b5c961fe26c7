"""What the mesh needs of a message broker, on NATS JetStream and in memory. Only this folder imports `nats`."""
