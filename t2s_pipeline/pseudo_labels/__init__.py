"""How rival methods turn a mask into boxes and points, which their rewards compare an answer with."""
