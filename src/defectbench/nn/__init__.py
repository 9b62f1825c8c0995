"""Network pieces shared by the methods."""
