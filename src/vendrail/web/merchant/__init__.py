"""The merchant's console: how today goes, orders, products and their keys, money, staff."""
