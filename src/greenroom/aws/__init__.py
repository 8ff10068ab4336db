"""SigV4, the service models, and the codecs of their two protocols: rest-json and query. Pure."""
