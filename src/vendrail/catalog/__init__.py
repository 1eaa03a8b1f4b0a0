"""What is for sale, and the keys themselves.

The catalog owns shops, products and stock. It promises that a key leaves at most once, that a key
which was once sold is never free again, that what is held for one order is not given to another,
and that no key can be read from the database alone.
"""
