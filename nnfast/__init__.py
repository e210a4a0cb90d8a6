"""Neural-network layers on plain NumPy arrays, at C speed."""
