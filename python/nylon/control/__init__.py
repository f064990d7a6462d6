"""The control plane: what runs beside the data plane and steers it."""
