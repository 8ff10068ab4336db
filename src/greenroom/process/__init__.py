"""What the process is to the machine: signals, files, memory, event loop."""
