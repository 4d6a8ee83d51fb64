"""The pages: HTML and SVG made here on the server, over the same read functions as the API."""
