"""The merchants' part of the API: their programs' doors to products, keys, orders and money."""
