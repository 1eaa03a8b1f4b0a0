"""All SQL of support."""
