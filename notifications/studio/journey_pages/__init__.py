"""Journey pages: the pages on which marketers write, publish and compare how left carts are answered."""
