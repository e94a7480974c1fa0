"""Every fault of the simulator through batch and stream, the stream killed; by brute force."""
