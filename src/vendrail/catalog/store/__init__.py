"""All SQL of the catalog: `shelves` for what is for sale, `keys` for stock and the keys."""
