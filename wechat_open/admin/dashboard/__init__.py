"""The dashboard of a platform: its pages, tiles and charts."""
