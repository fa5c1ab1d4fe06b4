"""The machine: its devices, memory formats and start-up."""
