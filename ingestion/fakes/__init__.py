"""Local servers that speak the providers' wire formats, with recorded and simulated data."""
