"""`greenroom bench`: measure a running server with as many viewers as are asked for."""
