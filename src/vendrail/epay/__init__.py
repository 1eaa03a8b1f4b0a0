"""Epay: the door for card sites elsewhere that speak it (易支付, V1).

Owns merchants' numbers and keys there, what was asked under which number, and what sites are told.
It promises that a request counts only with its signature, that one number is one charge, and that
a paid charge is told to its site, across restarts, until it answers `success` or the ladder ends.
"""
