"""Risk: may this order be placed, may this payment be delivered; its first answer is kept.

Counts what each buyer, address and device has bought within 24 hours, keeps lists, and hands to a
person what is out of the ordinary. Screening writes nothing and costs next to nothing.
"""
