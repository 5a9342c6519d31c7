"""What is measured of pictures on their way to the encoders."""
