"""What .ci/mutants is made of: the mutants, a tree that holds many at once, and how one is tried."""
