"""Where wrapped keys and the node key rest on disk."""
