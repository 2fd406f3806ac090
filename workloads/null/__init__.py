"""
A system that asks for nothing: calls of one method with a few bytes, any reply will do.

It measures the generator rather than a service: against harness.targets.null_service the lateness,
the roofline and queueing theory can be checked without an account in the way. It is also the
smallest example of a System.
"""

from workloads.null.system import SYSTEM

__all__ = ["SYSTEM"]
