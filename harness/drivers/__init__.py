"""
Drivers: how operations reach the peer and replies come back.

They know gRPC and Kafka, and no account. `grpc` is the seam, `grpc_wire` the default behind it,
`grpcio_driver` the cross-check.
"""
