"""The frame of both consoles: signing in, who may do what, and the layout around each page."""
