"""How rows are kept: encryption, fields, managers, leases, transactions, and the database's clock. Imports no model."""
