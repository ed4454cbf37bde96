"""EdemaResult to files; writers compute nothing."""
