"""Who looks into the target while the load goes: py-spy for CPU time, memray for memory."""
