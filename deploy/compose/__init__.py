"""`python3 -m deploy.compose`: a Docker engine, the image, the services, and the check that proves them."""
