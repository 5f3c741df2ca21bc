"""What the agency's software may ask of its node, whatever the way in; every way in goes through here."""
