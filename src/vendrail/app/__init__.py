"""The roof: the command line and the wiring. Knows everyone, owns nothing."""
