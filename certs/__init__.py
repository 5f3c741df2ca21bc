"""The development certificate authority, and the issuer process that alone holds its keys."""
