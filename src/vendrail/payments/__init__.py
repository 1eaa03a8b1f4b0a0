"""Payments: owns attempts, captures and refunds over every provider, and the channels to them.

Promises that money that arrived is stored once and told once, whichever way it was found; that a
provider is answered only after commit; that what a provider did not say is asked again, never
assumed; and that no more than was captured ever goes back.
"""
