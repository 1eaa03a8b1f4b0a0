"""The pages people see, made on the server: the storefront; a client of the apis like any other.

Owns no data and decides nothing. Everything works without JavaScript; scripts only add. No page
holds an inline script or style, and a buyer's order opens by its secret alone.
"""
