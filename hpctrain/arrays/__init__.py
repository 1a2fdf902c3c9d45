"""On what we compute: NumPy, CuPy and torch arrays behind one small protocol."""
