"""How the networks are taught to draw it: the training set, the loop, and a module for each stage."""
