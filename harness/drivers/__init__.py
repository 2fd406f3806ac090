"""Drivers: how operations reach the peer and replies come back. They know gRPC and Kafka, no account."""
