"""What browsers and programs reach over HTTP: everything stands behind the guard."""
