"""Faults on purpose: damage, kills, full disks, two of everything. `make faults` runs the long part."""
