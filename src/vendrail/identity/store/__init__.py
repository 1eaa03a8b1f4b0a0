"""All SQL of identity, a file for each noun; people are read as the JSON of their records."""
