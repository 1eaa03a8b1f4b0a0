"""Support: complaints end by rule or by ruling, and what was said about an order stays together.

It owns complaints, their steps and limits, and the sealed words and files of conversations. While a
complaint stands, exactly its order's money is frozen; it moves by settlement and orders alone.
"""
