"""What makes a method: its recipe and reward, its experiments, and the systems that they give."""
