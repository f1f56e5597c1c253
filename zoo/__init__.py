"""What a released model is: its noise, its manifest, its folder, and the command that manages them."""
