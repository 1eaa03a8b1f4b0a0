"""The public REST API and the door for providers' callbacks: a client of the apis like any other.

Owns no data and decides nothing: it reads a request, asks orders, catalog or payments through a
batcher, and says the answer in JSON, or as an RFC 9457 problem with what to do about it.
"""
