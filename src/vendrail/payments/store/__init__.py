"""All SQL of payments: a statement a function, a batch a statement; one file a noun."""
