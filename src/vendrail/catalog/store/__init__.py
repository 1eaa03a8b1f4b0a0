"""All SQL of the catalog: `shelves`, `stock`, and the `keys` at rest."""
