"""Ranks on one machine without MPI: messages through rings in shared memory."""
