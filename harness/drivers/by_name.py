"""The gRPC drivers by the names that a scenario gives them."""

from collections.abc import Mapping

from harness.drivers.grpc_wire import GrpcWireDriver
from harness.drivers.grpcio_driver import GrpcioDriver

GRPC_DRIVERS: Mapping[str, type[GrpcWireDriver] | type[GrpcioDriver]] = {
    "wire": GrpcWireDriver,
    "grpcio": GrpcioDriver,
}
