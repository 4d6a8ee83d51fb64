"""What follows from beliefs for the signals of the moment: consensus and position size."""
