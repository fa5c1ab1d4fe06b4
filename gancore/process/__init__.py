"""What a whole process shares: its global settings and its standard streams."""
