"""Domains: which hosts merchants say are theirs, the proof of it in DNS, and whose shop each shows.

A claim keeps nobody away: only a proven one is served, one shop a host. A proof is looked for again
every day; when it stays away for days the host is given up, and whoever proves it then has it.
"""
