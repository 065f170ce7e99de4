"""The site's customers and their accounts."""
