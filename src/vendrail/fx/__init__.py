"""Foreign exchange: rates from several sources, quotes that hold, and what they leave with us.

A rate is the middle of all sources that are fresh and agree; where they are old or disagree, there
is none, and nobody is promised a price. Decimals and whole minor units only.
"""
