"""`greenroom review`: what review handlers are asked, and answer."""
