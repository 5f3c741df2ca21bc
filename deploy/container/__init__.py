"""What runs in the image's containers beside the commands `axis` and `agency`."""
