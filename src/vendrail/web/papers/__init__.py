"""Papers: what is kept or printed, as PDF, in the reader's language."""
