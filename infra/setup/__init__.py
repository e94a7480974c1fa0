"""What ``make setup`` does, in the standard library alone: no environment exists yet."""
