"""The instruments that the project knows: one file, read here for every part that needs it."""
