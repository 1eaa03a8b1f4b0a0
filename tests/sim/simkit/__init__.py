"""What the simulations are made of: proxy, servers, provider, buyers, auditor."""
