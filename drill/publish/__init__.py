"""Publishing and going back, killed at every step, on a full disk, two at once, under readers."""
