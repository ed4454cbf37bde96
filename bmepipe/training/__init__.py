"""Making the networks that the package ships."""
