"""What the thirty-day simulation is made of: plans, people, banks, loops, and the last accounts."""
