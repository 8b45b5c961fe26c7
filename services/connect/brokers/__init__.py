"""Brokers that events come from: RabbitMQ, Kafka and SQS."""
