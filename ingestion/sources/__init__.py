"""One module per provider behind one small interface."""
