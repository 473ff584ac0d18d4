"""What must hold of the tables and of the datasets in them."""
