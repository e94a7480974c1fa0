"""The main job: every stage in order, each run as the command that a person would type."""
