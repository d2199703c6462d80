"""What the pictures show: scenes, the captions that name them, and the painter that draws them."""
