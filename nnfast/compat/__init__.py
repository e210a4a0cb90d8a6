"""Stand-ins for hand-written NumPy layers, so that code written for them runs at C speed."""
