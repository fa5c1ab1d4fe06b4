"""The machine: devices, memory formats, start-up time."""
