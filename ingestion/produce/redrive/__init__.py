"""Dead letters, read again and sent once what refused them is mended."""
