"""The commands, a noun a file; each has its `app`, which is loaded when it is called."""
