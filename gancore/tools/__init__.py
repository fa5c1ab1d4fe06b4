"""Tools over whole runs: benchmarks, sweeps, checks of resume."""
