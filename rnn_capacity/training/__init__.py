"""Many trials trained at once: the steps, the devices and hosts that they are spread over, memory, checkpoints, signals."""
