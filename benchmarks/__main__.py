"""`python -m benchmarks`: every question in turn, after a line that says where it was asked."""

import platform

import torch

from benchmarks import large_data, overhead, penalty, startup

processor = platform.processor() or platform.machine()
print(f"{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
overhead.main()
startup.main()
penalty.main()
large_data.main()
