"""Many trials trained at once: steps, devices and hosts that they are spread over, memory, checkpoints, signals."""
