"""Rows of P2SGrad."""

import scriptable
from export.catalog.heads._kinds import DIM, spoofing

ROWS = [spoofing("P2SGrad", lambda: scriptable.P2SGrad(DIM), also=("p2sgrad_loss",))]
