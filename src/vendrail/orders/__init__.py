"""Orders: owns a buyer's choice and its way to the key, and promises that it ends.

Paid means delivered or refunded, whatever dies in between; once a key was readable the order only
goes forward. Reads, writes and lookups give nothing without the order's secret or a code.
"""
