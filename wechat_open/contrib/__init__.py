"""What connects us with other packages, one file for each? Nothing here is imported unless a site names it."""
